"""A retry only ever follows a failure of a kind that is fixed beforehand: whole nights of the plan
and the scheduler, over several sessions, some of which are killed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import RUN_ID, failed, graded, instances, rolled

from orchestrator.config.schema import RolloutLimits
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.plan import make_plan
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage, Start
from orchestrator.journal import RunState
from orchestrator.journal.bounds import settle
from orchestrator.report.retries import retries_of
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeRecord,
    Outcome,
    RolloutKey,
    RolloutRecord,
)

pytestmark = pytest.mark.slow

IDS = ("a-1", "a-2", "b-1")
BUDGETS = RolloutLimits().retries
KINDS = st.sampled_from(FailureKind)
ROLLOUT_ENDS = st.one_of(KINDS, st.sampled_from([(o, p) for o in Outcome for p in ("", "diff")]))
GRADE_ENDS = st.one_of(KINDS, st.booleans())


@dataclass
class Nights:
    """A run's journal over its sessions, and what each session started."""

    rollouts: list[RolloutRecord] = field(default_factory=list)
    grades: list[GradeRecord] = field(default_factory=list)

    @property
    def state(self) -> RunState:
        repos = {instance.instance_id: instance.repo for instance in instances(*IDS)}
        return RunState(RUN_ID, repos, list(self.rollouts), list(self.grades))

    def session(self, data: st.DataObject, events: int) -> None:
        """Until nothing is left, or until it is killed after so many events."""
        terms = RunTerms(BUDGETS, 1.0)
        scheduler = Scheduler(2, GradingSlots.said(1), {RUN_ID: terms})
        plan = make_plan(instances(*IDS), self.state)
        scheduler.add(Stage.ROLLOUT, plan.rollouts)
        scheduler.add(Stage.GRADE, plan.grades)
        running: list[Start] = []
        redone = Counter[tuple[str, Stage, FailureKind]]()
        for now in range(events):
            running += scheduler.admit(now * 10_000.0)
            if not running:
                break
            start = running.pop(data.draw(st.integers(0, len(running) - 1), "which ends"))
            ends = self._end_rollout if start.stage is Stage.ROLLOUT else self._end_grade
            failure = ends(scheduler, start.key, data, now * 10_000.0)
            if failure is not None and scheduler.has_left(start.key):
                redone[start.key.instance_id, start.stage, failure] += 1
        assert all(count <= BUDGETS[kind] for (_, _, kind), count in redone.items())

    def _end_rollout(
        self, scheduler: Scheduler, key: RolloutKey, data: st.DataObject, now: float
    ) -> FailureKind | None:
        end = data.draw(ROLLOUT_ENDS, "rollout")
        if isinstance(end, FailureKind):
            result = failed(key.instance_id, key.attempt, end)
        else:
            result = rolled(key.instance_id, key.attempt, patch=end[1], outcome=end[0])
        broken = sum(
            row.failure is not None and row.failure.kind is FailureKind.SANDBOX_BROKEN
            for row in self.rollouts
            if row.instance_id == key.instance_id
        )
        record = settle(result, broken).record
        self.rollouts.append(record)
        failure = record.failure.kind if record.failure else None
        scheduler.rollout_done(key, failure, record.has_patch, now)
        return failure

    def _end_grade(
        self, scheduler: Scheduler, key: RolloutKey, data: st.DataObject, now: float
    ) -> FailureKind | None:
        end = data.draw(GRADE_ENDS, "grade")
        if isinstance(end, FailureKind):
            of_patch = graded(key.instance_id, None, attempt=key.attempt).record
            record = GradeRecord(key, of_patch.patch_sha256, failure=Failure(end, "x"))
        else:
            record = graded(key.instance_id, end, attempt=key.attempt).record
        self.grades.append(record)
        failure = record.failure.kind if record.failure else None
        scheduler.grade_done(key, failure, now)
        return failure


@given(st.data(), st.lists(st.integers(1, 25), min_size=1, max_size=4))
def test_nothing_but_a_failure_is_ever_redone(data: st.DataObject, sessions: list[int]) -> None:
    nights = Nights()
    for events in sessions:
        nights.session(data, events)

    for instance_id in IDS:
        rollouts = [row for row in nights.rollouts if row.instance_id == instance_id]
        assert all(before.failure is not None for before, _ in pairwise(rollouts))
        assert [row.key.attempt for row in rollouts] == list(range(1, len(rollouts) + 1))
        grades = [row for row in nights.grades if row.instance_id == instance_id]
        assert all(before.failure is not None for before, _ in pairwise(grades))
        graded_keys = {grade.key for grade in grades}
        assert graded_keys <= {row.key for row in rollouts if row.has_patch}

    redone = retries_of(nights.state)
    first = len({row.instance_id for row in nights.rollouts})
    assert sum(redone.rollouts.values()) == len(nights.rollouts) - first
    first = len({row.key for row in nights.grades})
    assert sum(redone.grades.values()) == len(nights.grades) - first
    assert {*redone.rollouts, *redone.grades} <= set(FailureKind)


def test_what_is_redone_has_a_budget_for_every_kind_that_is_fixed_beforehand() -> None:
    assert BUDGETS.keys() == set(FailureKind)
    assert not {str(kind) for kind in FailureKind} & {str(outcome) for outcome in Outcome}
