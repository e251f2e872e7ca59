"""What is particular to process sandboxes: where they come from, and what they keep away."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.specs import sandbox_spec

from orchestrator.backends import Sandbox
from orchestrator.backends.process.sandbox import ProcessSandbox, remove_tree
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance

Open = Callable[..., Sandbox]


def test_a_process_sandbox_needs_a_task_folder(instance: Instance, tmp_path: Path) -> None:
    other = dataclasses.replace(instance, task_dir=None)

    with pytest.raises(SandboxUnavailable, match=r"build\.sh"):
        ProcessSandbox.start(sandbox_spec(other, tmp_path))


@pytest.mark.slow
def test_a_task_whose_base_commit_is_another_is_unavailable(
    instance: Instance, tmp_path: Path
) -> None:
    with pytest.raises(SandboxUnavailable, match="expected 1234"):
        ProcessSandbox.start(sandbox_spec(instance, tmp_path, base_commit="1234"))

    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.slow
def test_a_process_sandboxes_memory_is_limited(open_sandbox: Open) -> None:
    sandbox = open_sandbox("process", memory_gb=0.5)

    assert "MemoryError" in sandbox.exec("python -c 'bytearray(900_000_000)'", 30).text


@pytest.mark.slow
def test_a_process_sandbox_does_not_see_our_environment(
    open_sandbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")

    assert "secret" not in open_sandbox("process").exec("env", 10).text


@contextmanager
def not_as_root() -> Iterator[None]:
    """Permissions count here, also where the tests are run by root."""
    nobody = 65534
    if os.geteuid() == 0:
        os.seteuid(nobody)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize(
    "folder", ["", "locked", "locked/deep", "beside"], ids=["the copy", "a folder", "deep", "all"]
)
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500], ids=oct)
def test_a_copy_is_removed_by_a_user_who_may_not_look_into_it(folder: str, mode: int) -> None:
    # not in pytest's own folder, which is root's
    with not_as_root(), tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        outside, copy = Path(temporary, "outside"), Path(temporary, "copy")
        for path in (outside, copy / "locked" / "deep", copy / "beside"):
            path.mkdir(parents=True)
            (path / "file").touch()
        outside.chmod(0o500)
        (copy / "locked" / "link").symlink_to(outside)
        for path in [copy / folder] if folder != "beside" else [copy / "locked", copy / "beside"]:
            path.chmod(mode)

        remove_tree(copy)
        remove_tree(copy)

        assert not copy.exists()
        assert outside.stat().st_mode & 0o777 == 0o500
        outside.chmod(0o700)
