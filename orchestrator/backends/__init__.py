"""Sandboxes behind one protocol; `start_sandbox` finds the backend by name."""

from __future__ import annotations

from orchestrator.backends.base import ExecResult, Sandbox, SandboxSpec, Stream

__all__ = ["ExecResult", "Sandbox", "SandboxSpec", "Stream", "start_sandbox"]


def start_sandbox(kind: str, spec: SandboxSpec) -> Sandbox:
    """Start a sandbox of a kind (`docker` or `process`). Raises SandboxUnavailable."""
    if kind == "docker":
        from orchestrator.backends.docker.sandbox import DockerSandbox

        return DockerSandbox.start(spec)
    if kind == "process":
        from orchestrator.backends.process.sandbox import ProcessSandbox

        return ProcessSandbox.start(spec)
    raise ValueError(f"no sandbox {kind!r}")
