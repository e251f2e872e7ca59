"""Pure questions about a run's rows. `rows.py` makes the rows."""

from __future__ import annotations

from support.rows import FAILED, failed, graded, rolled, state

from orchestrator.journal import SessionRow
from orchestrator.types import Failure, FailureKind


def test_the_rollout_that_counts_is_the_one_with_an_outcome() -> None:
    seen = state(failed("a", 1), rolled("a", 2), failed("b", 1))

    assert {name: row.key.attempt for name, row in seen.outcomes.items()} == {"a": 2}
    assert seen.attempts == {"a": 2, "b": 1}


def test_a_verdict_counts_for_its_own_rollout_only() -> None:
    seen = state(rolled("a", 2), grades=[graded("a", True, attempt=1)])

    assert not seen.verdicts
    assert seen.ungraded == ("a",)


def test_the_verdict_on_the_patch_that_lies_there_counts() -> None:
    grades = [graded("a", True, patch="new"), graded("a", False)]
    seen = state(rolled("a", patch="new"), grades=grades)

    assert seen.verdicts["a"].resolved
    assert seen.ungraded == ()


def test_an_outcome_without_a_patch_waits_for_no_grade() -> None:
    assert state(rolled("a", patch="")).ungraded == ()


def test_the_last_failure_stands_between_an_instance_and_its_verdict() -> None:
    seen = state(failed("a", 1), failed("a", 2, FailureKind.ENDPOINT_UNAVAILABLE))

    assert seen.failures["a"].kind is FailureKind.ENDPOINT_UNAVAILABLE


def test_an_outcome_takes_the_failures_before_it_away() -> None:
    assert not state(failed("a", 1), rolled("a", 2)).failures


def test_a_grade_that_failed_is_a_failure_until_a_verdict_follows() -> None:
    lost = graded("a", None)

    assert state(rolled("a"), grades=[lost]).failures["a"] == Failure(
        FailureKind.WORKER_LOST, FAILED
    )
    assert not state(rolled("a"), grades=[lost, graded("a", True)]).failures


def test_a_changed_patch_whose_grade_failed_is_a_failure_in_spite_of_the_old_verdict() -> None:
    grades = [graded("a", True), graded("a", None, patch="new")]
    seen = state(rolled("a", patch="new"), grades=grades)

    assert "a" in seen.failures
    assert seen.ungraded == ("a",)


def test_the_wall_clock_is_that_of_all_sessions() -> None:
    sessions = [SessionRow(0, 10, 10), SessionRow(100, None, 130)]

    assert state(sessions=sessions).wall_s == 40
