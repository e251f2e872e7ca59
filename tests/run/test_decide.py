"""What a person decides is recorded, and only where there is something to decide."""

from __future__ import annotations

import getpass
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import RunConfig, dump_run_config
from orchestrator.config.schema import Predictions
from orchestrator.dataset import Dataset
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.journal import Journal, RunState, read_journal
from orchestrator.journal.bounds import MAX_FAILURES
from orchestrator.paths import RunPaths
from orchestrator.run.cleanup import hold_driver_lock
from orchestrator.run.decide import decide, reason
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock
from orchestrator.text import printable
from orchestrator.types import (
    Choice,
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutKey,
    RolloutRecord,
    patch_sha256,
)

pytestmark = pytest.mark.slow

OOM = Failure(FailureKind.HARNESS_UNAVAILABLE, "out of memory at 8 GB")


class Run:
    """The demo: its first instance has a verdict, the next no patch, then a patch that no grade
    ends on, a rollout that is set aside, one that failed once, and the rest never started."""

    def __init__(self, paths: RunPaths, ids: list[str]) -> None:
        self.paths = paths
        self.graded, self.empty, self.ungraded, self.aside, self.failed = ids[:5]
        self.fresh = ids[5]
        with Journal.open(paths.journal) as journal:
            for instance_id in (self.graded, self.ungraded):
                row = RolloutRecord(self.key(instance_id), outcome=Outcome.SUBMITTED)
                journal.append_rollout(row.with_patch("diff"))
            journal.append_rollout(RolloutRecord(self.key(self.empty), outcome=Outcome.GAVE_UP))
            grade = GradeRecord(self.key(self.graded), patch_sha256("diff"), True)
            journal.append_grade(replace(grade, reason=GradeReason.TESTS))
            lost = replace(grade, key=self.key(self.ungraded), resolved=None, failure=OOM)
            journal.append_grade(lost)
            for attempt in range(1, MAX_FAILURES + 1):
                journal.append_rollout(RolloutRecord(self.key(self.aside, attempt), failure=OOM))
            journal.append_rollout(RolloutRecord(self.key(self.failed), failure=OOM))

    def key(self, instance_id: str, attempt: int = 1) -> RolloutKey:
        return RolloutKey(self.paths.run_id, instance_id, attempt)

    @property
    def state(self) -> RunState:
        return read_journal(self.paths.journal)

    def decide(self, choice: Choice, *ids: str, because: str = "30 GB") -> tuple[str, ...]:
        return decide(self.paths.root, ids, choice, because)

    @property
    def report(self) -> dict[str, Any]:
        found = json.loads(self.paths.report_json.read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def run(tmp_path: Path, demo_config: RunConfig, demo: Dataset) -> Run:
    paths = RunPaths(tmp_path / "runs" / demo_config.run_id)
    create_run(paths, demo_config, demo, RunLock())
    return Run(paths, [instance.instance_id for instance in demo.instances])


def test_a_decision_is_in_the_journal_and_in_both_reports(run: Run) -> None:
    assert run.decide(Choice.UNRESOLVED, run.ungraded, run.failed) == (run.ungraded, run.failed)

    assert set(run.state.decided) == {run.ungraded, run.failed}
    (one, _) = run.state.decisions
    assert (one.because, one.by) == ("30 GB", getpass.getuser())
    assert one.patch_sha256 == patch_sha256("diff")
    assert set(run.report["decided"]) == {run.ungraded, run.failed}
    assert run.report["resolved_ids"] == [run.graded]
    assert "30 GB" in run.paths.report_md.read_text(encoding="utf-8")


def test_a_decision_can_be_taken_back(run: Run) -> None:
    run.decide(Choice.UNRESOLVED, run.ungraded)
    run.decide(Choice.AGAIN, run.ungraded, because="more memory is here")

    assert not run.state.decided
    assert len(run.state.decisions) == 2


def test_without_ids_it_is_about_all_that_are_set_aside(run: Run) -> None:
    assert run.decide(Choice.AGAIN) == (run.aside,)
    assert not run.state.set_aside

    with pytest.raises(ConfigError, match="no instance of a-run is set aside"):
        run.decide(Choice.AGAIN)


def test_there_is_nothing_to_decide_where_the_harness_or_nobody_has_failed(run: Run) -> None:
    for instance_id, says in (
        (run.graded, "resolved by the harness"),
        (run.empty, "left no patch"),
        (run.fresh, "has not failed yet"),
        (f"{run.fresh}0", "did you mean"),
    ):
        with pytest.raises(ConfigError, match=says):
            run.decide(Choice.UNRESOLVED, run.ungraded, instance_id)

    assert run.state.decisions == (), "all or none"


def test_an_instance_without_a_prediction_is_decided_by_giving_one(
    run: Run, demo_config: RunConfig
) -> None:
    of_others = {"agent": None, "predictions": Predictions(name="theirs")}
    run.paths.config.write_text(dump_run_config(demo_config.model_copy(update=of_others)))

    with pytest.raises(ConfigError, match="no prediction was given; grade again with a file"):
        run.decide(Choice.UNRESOLVED, run.fresh)


@pytest.mark.parametrize("because", ["", " \n\t", "\x1b[31m"])
def test_a_decision_has_a_reason(run: Run, because: str) -> None:
    with pytest.raises(ConfigError, match="--because"):
        run.decide(Choice.UNRESOLVED, run.ungraded, because=because)


@pytest.mark.parametrize(
    "because", ["größer", "a | b", "\udcff\ud800", "x\n" * 1000, "'\";--", "\x1b[31mred \u202e"]
)
def test_a_reason_may_be_anything(run: Run, because: str) -> None:
    run.decide(Choice.UNRESOLVED, run.ungraded, because=because)

    assert run.report["decided"][run.ungraded]["because"] == reason(because)


@pytest.mark.fuzz
@given(st.text(st.characters(), min_size=1))
def test_any_reason_is_one_line_that_can_be_written_or_refused(because: str) -> None:
    try:
        said = reason(because)
    except ConfigError:
        assert not printable(because).split()
    else:
        assert said.encode("utf-8").decode().splitlines() == [said]


def test_a_live_run_is_left_alone(run: Run) -> None:
    with hold_driver_lock(run.paths), pytest.raises(PrerequisiteError, match="is live"):
        run.decide(Choice.UNRESOLVED, run.ungraded)


def test_a_user_without_a_name_is_known_by_a_number(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr(getpass, "getuser", nameless)
    run.decide(Choice.UNRESOLVED, run.ungraded)

    assert run.state.decisions[0].by.startswith("user ")
