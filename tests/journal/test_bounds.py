"""No failure is redone for ever, and none becomes an outcome without the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import FAILED, RUN_ID, failed, failure_of, graded, instances, rolled, state

from orchestrator.config.schema import RolloutLimits
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.plan import make_plan
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage
from orchestrator.journal import RunState
from orchestrator.journal.bounds import BREAKS, MAX_FAILURES, NOT_COUNTED, counts, settle
from orchestrator.types import (
    Choice,
    Decision,
    Failure,
    FailureKind,
    GradeRecord,
    Outcome,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)

BROKEN = FailureKind.SANDBOX_BROKEN
RETRIES = RolloutLimits().retries
COUNTED = [kind for kind in FailureKind if kind not in NOT_COUNTED]


def test_the_third_sandbox_that_an_agent_breaks_is_its_own_doing() -> None:
    broken = failed("a", BREAKS, BROKEN, partial_patch="diff")

    settled = settle(broken, BREAKS - 1)

    assert (settled.outcome, settled.failure) == (Outcome.GAVE_UP, None)
    assert (settled.patch, settled.partial_patch) == ("diff", "")
    assert settled.record.salvaged
    assert settled.record.patch_sha256 == patch_sha256("diff")
    assert "each of 3 attempts" in settled.record.notes[-1]


def test_without_a_patch_nothing_is_salvaged_of_it() -> None:
    settled = settle(failed("a", BREAKS, BROKEN), BREAKS - 1)

    assert settled.outcome is Outcome.GAVE_UP
    assert not settled.record.salvaged
    assert not settled.record.has_patch


@pytest.mark.parametrize("before", range(BREAKS - 1))
def test_fewer_are_failures(before: int) -> None:
    assert failure_of(settle(failed("a", 1, BROKEN, partial_patch="diff"), before))[0] is BROKEN


@given(
    st.one_of(st.sampled_from(list(FailureKind)), st.sampled_from(list(Outcome))),
    st.integers(0, 50),
    st.sampled_from(["", "diff"]),
)
def test_nothing_else_is_settled(end: FailureKind | Outcome, before: int, patch: str) -> None:
    if isinstance(end, Outcome):
        result = rolled("a", patch=patch, outcome=end)
    else:
        result = failed("a", 1, end, partial_patch=patch)

    settled = settle(result, before)

    is_evident = end is BROKEN and before + 1 >= BREAKS
    assert (settled == result) != is_evident
    assert settled.failure is None or settled.patch == ""


def failures(kind: FailureKind, count: int, instance_id: str = "a") -> list[RolloutResult]:
    return [failed(instance_id, n, kind) for n in range(1, count + 1)]


@pytest.mark.parametrize("kind", COUNTED)
def test_what_has_failed_too_often_is_set_aside(kind: FailureKind) -> None:
    seen = state(*failures(kind, MAX_FAILURES))

    assert seen.set_aside == {"a": MAX_FAILURES}
    assert "a" not in state(*failures(kind, MAX_FAILURES - 1)).set_aside
    plan = make_plan(instances("a", "b", "c"), seen)
    assert [key.instance_id for key in plan.rollouts] == ["b", "c"]
    assert (plan.set_aside, plan.done) == (1, 0)


@pytest.mark.parametrize("kind", NOT_COUNTED)
def test_a_stop_or_a_server_that_is_away_sets_nothing_aside(kind: FailureKind) -> None:
    assert not state(*failures(kind, 5 * MAX_FAILURES)).set_aside


def test_grades_that_fail_are_counted_by_patch() -> None:
    grades = [graded("a", None) for _ in range(MAX_FAILURES)]

    assert state(rolled("a"), grades=grades).set_aside == {"a": MAX_FAILURES}
    assert not state(rolled("a", patch="another"), grades=grades).set_aside
    assert not state(rolled("a"), grades=[*grades, graded("a", True)]).set_aside


def test_failures_before_an_outcome_do_not_count_against_its_grade() -> None:
    rollouts = [*failures(FailureKind.WORKER_LOST, 9), rolled("a", 10)]

    assert not state(*rollouts, grades=[graded("a", None)]).set_aside


def decision(seen: RunState, choice: Choice, instance_id: str = "a") -> Decision:
    digest, count = seen.patch_sha256(instance_id), seen.failure_counts[instance_id]
    return Decision(instance_id, choice, "it is so", "ana", 1.0, digest, count)


def decided(seen: RunState, *choices: Choice) -> RunState:
    for choice in choices:
        seen = replace(seen, decisions=[*seen.decisions, decision(seen, choice)])
    return seen


def test_again_has_it_redone_until_it_has_failed_as_often_once_more() -> None:
    seen = decided(state(*failures(FailureKind.WORKER_LOST, 12)), Choice.AGAIN)
    assert not seen.set_aside
    assert make_plan(instances("a"), seen).rollouts[0].attempt == 13

    more = [result.record for result in failures(FailureKind.WORKER_LOST, 12 + MAX_FAILURES)]
    assert replace(seen, rollouts=more[:-1]).set_aside == {}
    assert replace(seen, rollouts=more).set_aside == {"a": 22}


@pytest.mark.parametrize(
    ("choices", "counts_as_unresolved"),
    [
        ([Choice.UNRESOLVED], True),
        ([Choice.UNRESOLVED, Choice.AGAIN], False),
        ([Choice.AGAIN, Choice.UNRESOLVED], True),
        ([Choice.UNRESOLVED, Choice.AGAIN, Choice.UNRESOLVED], True),
        ([Choice.AGAIN], False),
    ],
)
@pytest.mark.parametrize("has_patch", [True, False])
def test_the_last_decision_counts(
    choices: list[Choice], counts_as_unresolved: bool, has_patch: bool
) -> None:
    given = state(rolled("a"), grades=[graded("a", None)]) if has_patch else state(failed("a", 1))
    seen = decided(given, *choices)

    assert bool(seen.decided) == counts_as_unresolved
    plan = make_plan(instances("a"), seen)
    assert plan.is_empty == counts_as_unresolved
    assert plan.done == counts_as_unresolved


def test_a_decision_ends_with_the_patch_that_it_was_on() -> None:
    seen = decided(state(rolled("a"), grades=[graded("a", None)]), Choice.UNRESOLVED)
    changed = replace(seen, rollouts=[rolled("a", patch="better").record])

    assert not changed.decided
    assert make_plan(instances("a"), changed).grades


def test_a_verdict_of_the_harness_goes_before_a_decision() -> None:
    seen = decided(state(rolled("a"), grades=[graded("a", None)]), Choice.UNRESOLVED)
    measured = replace(seen, grades=[*seen.grades, graded("a", True).record])

    assert not measured.decided
    assert measured.verdicts["a"].resolved


@dataclass
class Night:
    """One instance over many sessions: what is planned is scheduled, and ends as it is told."""

    ends: list[FailureKind | Outcome | bool]
    rollouts: list[RolloutRecord] = field(default_factory=list)
    grades: list[GradeRecord] = field(default_factory=list)

    @property
    def seen(self) -> RunState:
        return RunState(RUN_ID, {"a": "a"}, self.rollouts, self.grades)

    def session(self) -> bool:
        """Whether there was something to do."""
        plan = make_plan(instances("a"), self.seen)
        scheduler = Scheduler(1, GradingSlots.said(1), {RUN_ID: RunTerms(RETRIES, 0)})
        scheduler.add(Stage.ROLLOUT, plan.rollouts)
        scheduler.add(Stage.GRADE, plan.grades)
        now = 0.0
        while not scheduler.is_finished and not scheduler.has_met_a_bug:
            now += 1e6
            for start in scheduler.admit(now):
                end = self.ends.pop() if self.ends else FailureKind.SANDBOX_UNAVAILABLE
                if start.stage is Stage.ROLLOUT:
                    how = end if isinstance(end, FailureKind | Outcome) else Outcome.SUBMITTED
                    self._roll(scheduler, start.key.attempt, how, now)
                else:
                    how_graded = end if isinstance(end, FailureKind) else bool(end)
                    self._grade(scheduler, start.key.attempt, how_graded, now)
        return not plan.is_empty

    def _roll(
        self, scheduler: Scheduler, attempt: int, how: FailureKind | Outcome, now: float
    ) -> None:
        if isinstance(how, Outcome):
            result = rolled("a", attempt, outcome=how)
        else:
            breaks = sum(
                row.failure is not None and row.failure.kind is BROKEN for row in self.rollouts
            )
            result = settle(failed("a", attempt, how), breaks)
        self.rollouts.append(result.record)
        failure = result.failure.kind if result.failure else None
        scheduler.rollout_done(result.key, failure, result.record.has_patch, now)

    def _grade(
        self, scheduler: Scheduler, attempt: int, how: FailureKind | bool, now: float
    ) -> None:
        record = graded("a", how if isinstance(how, bool) else None, attempt=attempt).record
        if isinstance(how, FailureKind):
            record = replace(record, failure=Failure(how, FAILED))
        self.grades.append(record)
        scheduler.grade_done(record.key, how if isinstance(how, FailureKind) else None, now)


PER_SESSION = sum(RETRIES[kind] for kind in COUNTED) + 1


@pytest.mark.fuzz
@given(st.lists(st.sampled_from([*COUNTED, *Outcome, True, False]), max_size=200))
def test_any_failures_and_resumes_end_after_so_many_attempts(
    ends: list[FailureKind | Outcome | bool],
) -> None:
    night = Night(list(ends))
    sessions = 0
    while night.session():
        sessions += 1
        assert sessions <= 2 * MAX_FAILURES + 2

    seen = night.seen
    at_most = MAX_FAILURES + PER_SESSION
    assert len(night.rollouts) <= at_most
    assert len(night.grades) <= at_most
    assert bool(seen.set_aside) == ("a" in seen.without_verdict)
    broken = [row for row in night.rollouts if row.failure and row.failure.kind is BROKEN]
    assert len(broken) < BREAKS, "the last one is an outcome"


@pytest.mark.fuzz
@given(st.lists(st.sampled_from(list(FailureKind)), max_size=40))
def test_what_counts_is_what_is_no_persons_and_no_servers_doing(kinds: list[FailureKind]) -> None:
    rows = [failed("a", n + 1, kind) for n, kind in enumerate(kinds)]

    assert state(*rows).failure_counts["a"] == sum(counts(row.failure) for row in rows)
