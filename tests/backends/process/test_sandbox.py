"""What is particular to process sandboxes: where they come from, and what they keep away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from support.specs import sandbox_spec

from orchestrator.backends import Sandbox
from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance

Open = Callable[..., Sandbox]


def test_a_process_sandbox_needs_a_task_folder(instance: Instance, tmp_path: Path) -> None:
    other = dataclasses.replace(instance, task_dir=None)

    with pytest.raises(SandboxUnavailable, match=r"build\.sh"):
        ProcessSandbox.start(sandbox_spec(other, tmp_path))


def test_a_task_whose_base_commit_is_another_is_unavailable(
    instance: Instance, tmp_path: Path
) -> None:
    with pytest.raises(SandboxUnavailable, match="expected 1234"):
        ProcessSandbox.start(sandbox_spec(instance, tmp_path, base_commit="1234"))

    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_process_sandboxes_memory_is_limited(open_sandbox: Open) -> None:
    sandbox = open_sandbox("process", memory_gb=0.5)

    assert "MemoryError" in sandbox.exec("python -c 'bytearray(900_000_000)'", 30).text


def test_a_process_sandbox_does_not_see_our_environment(
    open_sandbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")

    assert "secret" not in open_sandbox("process").exec("env", 10).text
