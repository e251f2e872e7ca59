"""What is recorded of rollouts and grades comes back as it was, whatever they came to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rows import graded, instances, key_of, rolled

from orchestrator.journal import Journal
from orchestrator.types import (
    CallCounts,
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutRecord,
    Usage,
    patch_sha256,
)

LOST = RolloutRecord(key_of("a"), failure=Failure(FailureKind.WORKER_LOST, "gone | away\nfor good"))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.create(tmp_path / "journal.sqlite", "r1", instances("a", "b")) as journal:
        yield journal


def test_a_rollout_comes_back_as_it_was_recorded(journal: Journal) -> None:
    record = RolloutRecord(
        key_of("a", 2),
        outcome=Outcome.STEP_LIMIT,
        salvaged=True,
        usage=Usage(3, 40, 5, 1.5, 2.5),
        started_at=10.0,
        ended_at=20.0,
        phases_s={"agent": 9.0},
        notes=("one", "two"),
        calls=CallCounts(5, {"no call": 1, "malformed": 1}, {"größer \ud83d": 1}),
        unusable_answers=2,
    ).with_patch("größer")
    journal.append_rollout(record)
    (row,) = journal.state().rollouts

    assert row == record
    assert (row.patch_sha256, row.patch_bytes) == (patch_sha256("größer"), 8)
    assert (type(row.salvaged), type(row.outcome)) == (bool, Outcome)


def test_calls_that_nobody_made_are_apart_from_calls_that_nobody_counted(journal: Journal) -> None:
    journal.append_rollout(RolloutRecord(key_of("a"), outcome=Outcome.GAVE_UP, calls=CallCounts()))
    journal.append_rollout(RolloutRecord(key_of("b"), outcome=Outcome.GAVE_UP))

    assert [row.calls for row in journal.state().rollouts] == [CallCounts(), None]


def test_a_failure_comes_back_as_it_was_recorded(journal: Journal) -> None:
    journal.append_rollout(LOST)

    assert journal.state().rollouts == (LOST,)


def test_a_grade_comes_back_as_it_was_recorded(journal: Journal) -> None:
    recorded = (graded("a", None).record, graded("a", True).record)
    journal.append_rollout(rolled("a").record)
    for record in recorded:
        journal.append_grade(record)

    assert journal.state().grades == recorded


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_can_be_recorded(journal: Journal, outcome: Outcome) -> None:
    record = RolloutRecord(key_of("a"), outcome=outcome)
    journal.append_rollout(record)

    assert journal.state().rollouts == (record,)


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_can_be_recorded_of_a_rollout_and_of_a_grade(
    journal: Journal, kind: FailureKind
) -> None:
    failure = Failure(kind, "größer \N{SNOWMAN}")
    rollouts = (RolloutRecord(key_of("a"), failure=failure), rolled("b").record)
    grade = GradeRecord(key_of("b"), patch_sha256("diff"), failure=failure)
    for record in rollouts:
        journal.append_rollout(record)
    journal.append_grade(grade)

    state = journal.state()
    assert state.rollouts == rollouts
    assert state.grades == (grade,)


@pytest.mark.parametrize("reason", GradeReason)
@pytest.mark.parametrize("resolved", [True, False])
def test_every_reason_of_a_verdict_can_be_recorded(
    journal: Journal, reason: GradeReason, resolved: bool
) -> None:
    grade = graded("a", resolved, reason=reason).record
    journal.append_rollout(rolled("a").record)
    journal.append_grade(grade)

    (row,) = journal.state().grades
    assert row == grade
    assert (type(row.resolved), type(row.reason)) == (bool, GradeReason)


def test_records_come_back_in_the_order_in_which_they_ended(journal: Journal) -> None:
    recorded = tuple(rolled(instance_id).record for instance_id in ("b", "a"))
    for record in recorded:
        journal.append_rollout(record)

    assert journal.state().rollouts == recorded
