"""What is particular to process sandboxes as a backend: they lie in their run's own folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import SETSID
from support.specs import sandbox_spec

from orchestrator.backends import Sandbox, find_backend
from orchestrator.dataset import Dataset
from orchestrator.errors import ConfigError
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, RolloutKey

pytestmark = pytest.mark.slow

PROCESS = find_backend("process")
Leave = Callable[..., Sandbox]


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "runs"


@pytest.fixture
def leave(instance: Instance, runs_dir: Path) -> Iterator[Leave]:
    """Starts a sandbox and does not close it: `leave("a-run", attempt=2)`."""
    with contextlib.ExitStack() as stack:

        def start(run_id: str = "a-run", attempt: int = 1) -> Sandbox:
            key = RolloutKey(run_id, instance.instance_id, attempt)
            spec = sandbox_spec(instance, runs_dir / run_id, key=key)
            return stack.enter_context(PROCESS.start(spec))

        yield start


def test_instances_without_a_build_script_can_not_be_run(demo: Dataset, tmp_path: Path) -> None:
    PROCESS.require_runnable(demo.instances)

    for folder in (None, str(tmp_path)):
        other = replace(demo.instances[0], task_dir=folder)
        with pytest.raises(ConfigError, match=rf"{other.instance_id} can't run in a process"):
            PROCESS.require_runnable([*demo.instances[1:], other])


def test_runs_with_copies_are_found_in_their_folder(leave: Leave, runs_dir: Path) -> None:
    assert list(PROCESS.find_run_dirs(runs_dir)) == []
    (runs_dir / "clean").mkdir(parents=True)
    leave("b-run")
    leave("a-run")

    assert list(PROCESS.find_run_dirs(runs_dir)) == [runs_dir / "a-run", runs_dir / "b-run"]


def test_cleaning_a_run_removes_its_scratch_folder_and_counts(leave: Leave, runs_dir: Path) -> None:
    one, two = leave(), leave(attempt=2)
    for sandbox in (one, two):
        sandbox.exec(f"{SETSID} sleep 4999 >/dev/null 2>&1 &", 30)

    cleaned = PROCESS.clean(runs_dir / "a-run")

    assert cleaned.counts == {"processes": 2, "copies": 2}
    assert not RunPaths(runs_dir / "a-run").scratch.exists()
    assert list(PROCESS.find_run_dirs(runs_dir)) == []


def test_cleaning_the_first_attempt_leaves_the_eleventh(
    leave: Leave, runs_dir: Path, instance: Instance
) -> None:
    first, eleventh = leave(attempt=1), leave(attempt=11)
    first.exec(f"{SETSID} sleep 4999 >/dev/null 2>&1 &", 30)

    cleaned = PROCESS.clean(runs_dir / "a-run", RolloutKey("a-run", instance.instance_id, 1))

    assert cleaned.counts == {"processes": 1, "copies": 1}
    assert eleventh.exec("true", 30).exit_code == 0
    assert RunPaths(runs_dir / "a-run").scratch.is_dir()


def test_cleaning_a_rollout_leaves_an_instance_whose_id_goes_on_like_its_folder(
    runs_dir: Path,
) -> None:
    scratch = RunPaths(runs_dir / "a-run").scratch
    theirs = ("a__b-1.1.2.abcdef", "a__b-1.2.abcdef", "a__b-1.1.notours", "xa__b-1.1.abcdef")
    for name in (*theirs, "a__b-1.1.abcdef"):
        (scratch / name).mkdir(parents=True)

    cleaned = PROCESS.clean(runs_dir / "a-run", RolloutKey("a-run", "a__b-1", 1))

    assert cleaned.counts == {"processes": 0, "copies": 1}
    assert {path.name for path in scratch.iterdir()} == set(theirs)


def test_what_an_agent_made_unreadable_is_removed_too(leave: Leave, runs_dir: Path) -> None:
    leave().exec("mkdir -p locked/deep && touch locked/deep/file && chmod -R 0 locked", 30)

    PROCESS.clean(runs_dir / "a-run")

    assert not RunPaths(runs_dir / "a-run").scratch.exists()
