"""Sandboxes behind one protocol; `start_sandbox` finds the backend by name."""

from __future__ import annotations

from orchestrator.sandbox.base import ExecResult, Sandbox, SandboxSpec, Stream

__all__ = ["ExecResult", "Sandbox", "SandboxSpec", "Stream", "start_sandbox"]


def start_sandbox(kind: str, spec: SandboxSpec) -> Sandbox:
    """Start a sandbox of a kind (`docker` or `process`). Raises SandboxUnavailable."""
    if kind == "docker":
        from orchestrator.sandbox.docker import DockerSandbox

        return DockerSandbox.start(spec)
    if kind == "process":
        from orchestrator.sandbox.process import ProcessSandbox

        return ProcessSandbox.start(spec)
    raise ValueError(f"no sandbox {kind!r}")
