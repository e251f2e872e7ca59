"""This host: room for Ray, and what other runs have here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import CheckFinding, Severity
from orchestrator.doctor.host_checks import (
    DeadRuns,
    RayCluster,
    judge_shared_memory,
    require_room_for_ray,
)
from orchestrator.errors import PrerequisiteError
from orchestrator.file_locks import hold_lock
from orchestrator.paths import RunPaths, temporary_folder

MakeCase = Callable[..., Case]
Look = Callable[..., list[CheckFinding]]


def test_ray_is_told_with_its_version_and_the_room_for_its_files(
    make_case: MakeCase, look: Look
) -> None:
    (found,) = look(make_case(), RayCluster())

    assert found.level is Severity.PASS
    assert "one of the run's own" in found.what
    assert "GB free for its files at" in found.what


def test_a_full_or_locked_folder_of_rays_is_told_before_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_room_for_ray(tmp_path, 1.0)
    with pytest.raises(PrerequisiteError, match=r"0\.05 GB are free.*RAY_TMPDIR"):
        require_room_for_ray(tmp_path, 0.05)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PrerequisiteError, match=r"can't be written.*RAY_TMPDIR"):
        require_room_for_ray(tmp_path, 1.0)


@pytest.mark.parametrize(
    ("free_gb", "level"), [(0.0, Severity.WARN), (0.064, Severity.WARN), (0.2, Severity.PASS)]
)
def test_too_little_shared_memory_is_told(free_gb: float, level: Severity) -> None:
    """A container has 64 MB unless it was told more."""
    found = judge_shared_memory(free_gb)

    assert found.level is level
    assert ("--shm-size" in found.cure) == (level is Severity.WARN)


def test_what_a_dead_run_left_is_told_with_clean_and_stays(
    make_case: MakeCase, look: Look, tmp_path: Path, no_engine: None
) -> None:
    dead = tmp_path.resolve() / "runs" / "last-night"
    left = temporary_folder(str(dead)) / "grade-killed"
    dead.mkdir(parents=True)
    left.mkdir(parents=True)
    try:
        (found,) = look(make_case(), DeadRuns())
        assert left.is_dir()
    finally:
        left.rmdir()
        left.parent.rmdir()

    assert found.level is Severity.WARN
    assert found.what == "last-night, which nobody drives, left temporary folders here"
    assert found.cure == f"python -m orchestrator clean --runs-dir {dead.parent}"
    assert look(make_case(), DeadRuns())[0].level is Severity.PASS


def test_a_run_that_goes_on_is_told_as_a_fact(
    make_case: MakeCase, look: Look, tmp_path: Path, no_engine: None
) -> None:
    live = tmp_path / "runs" / "tonight"
    live.mkdir(parents=True)
    with hold_lock(RunPaths(live).driver_lock):
        (found,) = look(make_case(), DeadRuns())

    assert found.level is Severity.PASS
    assert "tonight goes on here" in found.what
