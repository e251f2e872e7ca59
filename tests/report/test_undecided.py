from __future__ import annotations

from dataclasses import replace

from support.rows import RUN_ID, decision, failed, graded, rolled, state

from orchestrator.config.changes import FREE
from orchestrator.journal import RunState
from orchestrator.journal.bounds import MAX_FAILURES
from orchestrator.report.undecided import GRADES_TO_WARN, SHOWN, undecided_warnings
from orchestrator.types import Choice, Failure, FailureKind, GradeResult

OOM = Failure(FailureKind.HARNESS_UNAVAILABLE, "out of memory at 8 GB")


SLOW = Failure(FailureKind.TESTS_TOO_SLOW, "ran past 7200 s")


def killed(instance_id: str = "a", failure: Failure = OOM) -> GradeResult:
    lost = graded(instance_id, None)
    return replace(lost, record=replace(lost.record, failure=failure))


def warnings(seen: RunState) -> list[str]:
    return list(undecided_warnings(seen))


def test_a_grade_that_fails_again_and_again_is_told_with_all_that_can_be_done() -> None:
    seen = state(rolled("a"), grades=[killed()] * GRADES_TO_WARN)

    (warning,) = warnings(seen)

    assert warning.startswith("a: 3 grades of its patch failed; last harness_unavailable: out of")
    assert "resume --set cluster.grading.memory_gb=N" in warning
    assert "cluster.grading.memory_gb" in FREE, "else it would be refused"
    assert "--agent gold -i a" in warning
    assert f"orchestrator decide {RUN_ID} a --unresolved --because" in warning
    assert "--again" not in warning, "it is redone as it is"


def test_emulated_tests_that_are_too_slow_again_and_again_need_time_or_another_host() -> None:
    seen = state(rolled("a"), grades=[killed(failure=SLOW)] * GRADES_TO_WARN)

    (warning,) = warnings(seen)

    assert "resume --set cluster.grading.emulated_timeout_s=N" in warning
    assert "cluster.grading.emulated_timeout_s" in FREE, "else it would be refused"
    assert f"`grade {RUN_ID}` on a host" in warning
    assert "memory_gb" not in warning


def test_fewer_failed_grades_are_bad_luck() -> None:
    assert warnings(state(rolled("a"), grades=[killed()] * (GRADES_TO_WARN - 1))) == []


def test_a_rollout_that_is_set_aside_says_how_it_is_redone() -> None:
    seen = state(*(failed("a", n + 1) for n in range(MAX_FAILURES)))

    (warning,) = warnings(seen)

    assert warning.startswith("a: 10 rollouts failed, and it is set aside; last worker_lost: ")
    assert "--again --because" in warning
    assert "memory_gb" not in warning


def test_what_was_decided_is_told_and_not_told_to_be_decided() -> None:
    seen = state(rolled("a"), grades=[killed()] * MAX_FAILURES, decisions=[decision("a", "diff")])

    (warning,) = warnings(seen)

    assert "because a person said so" in warning
    again = replace(seen, decisions=[decision("a", "diff", Choice.AGAIN)])
    assert "a person said so" not in "".join(warnings(again))


def test_of_many_a_few_are_named() -> None:
    ids = [f"r-{n}" for n in range(20)]
    seen = state(
        *(rolled(i) for i in ids), grades=[killed(i) for i in ids] * GRADES_TO_WARN, ids=ids
    )

    assert len(warnings(seen)) == SHOWN + 1
    assert "15 more" in warnings(seen)[-1]
