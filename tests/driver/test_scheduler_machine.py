"""The scheduler against anything that rollouts, grades, servers and people may do to it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from support.rows import RUN_ID, key_of

from orchestrator.driver.grading_slots import GradingSlots, MemoryBudget
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage, Start
from orchestrator.types import FailureKind, RolloutKey

pytestmark = pytest.mark.slow

kinds = st.sampled_from(list(FailureKind))


class SchedulerMachine(RuleBasedStateMachine):
    """Starts what is admitted, ends it in every way, and counts."""

    running = Bundle("running")

    @initialize(
        rollout_slots=st.integers(1, 4),
        grade_slots=st.integers(1, 2),
        retries=st.dictionaries(kinds, st.integers(0, 3)),
        rollouts=st.integers(0, 8),
        grades=st.integers(0, 4),
        delay_s=st.sampled_from([0.0, 10.0]),
        cores=st.none() | st.integers(1, 4),
    )
    def begin(
        self,
        rollout_slots: int,
        grade_slots: int,
        retries: dict[FailureKind, int],
        rollouts: int,
        grades: int,
        delay_s: float,
        cores: int | None,
    ) -> None:
        self.now = 0.0
        self.retries = retries
        self.slots = {Stage.ROLLOUT: rollout_slots, Stage.GRADE: grade_slots}
        self.lane = Lane()
        terms = RunTerms(retries, delay_s, self.lane)
        self.scheduler = Scheduler(rollout_slots, GradingSlots.said(grade_slots), {RUN_ID: terms})
        if cores is not None:  # and memory for as many as there are rollout slots
            memory = MemoryBudget(rollout_slots + 1, 1.0, 1.0)
            auto = GradingSlots(grade_slots, "", cores, budgets=(memory,))
            self.scheduler.grading = auto
        self.scheduler.sort(Stage.GRADE, lambda key: -int(key.instance_id[1:]))
        self.rolling = [f"r{n}" for n in range(rollouts)]
        self.grading = [f"g{n}" for n in range(grades)]
        self.scheduler.add(Stage.ROLLOUT, [key_of(key) for key in self.rolling])
        self.scheduler.add(Stage.GRADE, [key_of(key) for key in self.grading])
        self.live: list[Start] = []
        self.failed: Counter[tuple[str, Stage, FailureKind]] = Counter()
        self.starts: Counter[tuple[str, Stage]] = Counter()
        self.attempts: dict[str, int] = {}
        self.ends: dict[tuple[str, Stage], FailureKind | None] = {}
        self.wanted = set(self.grading)
        self.given_back = False
        self.away: set[str] = set()
        """Instances whose image is not there."""

    def place(self, stage: Stage, key: RolloutKey) -> str | None:
        return None if key.instance_id in self.away else f"node of {key.instance_id}"

    @rule(target=running)
    def admit(self) -> object:
        held = self.lane.away or self.scheduler.disk_low_since is not None
        starts = self.scheduler.admit(self.now, self.place)
        stages = [start.stage for start in starts]
        graded = [int(s.key.instance_id[1:]) for s in starts if s.stage is Stage.GRADE]
        assert graded == sorted(graded, reverse=True) or self.given_back, "the longest first"
        assert stages == sorted(stages), "grades first"
        assert not (self.scheduler.stopping and starts)
        assert not (held and Stage.ROLLOUT in stages)
        for start in starts:
            key = start.key.instance_id
            assert start.node == f"node of {key}"
            assert key not in self.away
            assert key not in {s.key.instance_id for s in self.live if s.stage is start.stage}
            self.starts[key, start.stage] += 1
            if start.stage is Stage.ROLLOUT:
                assert start.key.attempt == self.attempts.get(key, 0) + 1
                self.attempts[key] = start.key.attempt
        self.live += starts
        return multiple(*starts)

    @rule(start=consumes(running), failure=st.none() | kinds, wants_grade=st.booleans())
    def end(self, start: Start, failure: FailureKind | None, wants_grade: bool) -> None:
        self.live.remove(start)
        key = start.key.instance_id
        self.ends[key, start.stage] = failure
        if failure is not None:
            self.failed[key, start.stage, failure] += 1
        if start.stage is Stage.GRADE:
            self.scheduler.grade_done(start.key, failure, self.now)
            return
        if failure is None and wants_grade:
            self.wanted.add(key)
        self.scheduler.rollout_done(start.key, failure, wants_grade, self.now)

    @rule(start=consumes(running))
    def finds_its_image_gone(self, start: Start) -> None:
        """It has not begun, and is not counted."""
        self.live.remove(start)
        key = start.key.instance_id
        self.starts[key, start.stage] -= 1
        if start.stage is Stage.ROLLOUT:
            self.attempts[key] -= 1
        self.given_back = True
        self.scheduler.give_back(start.key)
        assert self.scheduler.has_left(start.key)

    @rule(data=st.data())
    def images_come_and_go(self, data: st.DataObject) -> None:
        self.away = data.draw(st.sets(st.sampled_from([*self.rolling, *self.grading, "none"])))

    @rule(seconds=st.floats(0, 700))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(away=st.booleans())
    def server_goes_or_comes_back(self, away: bool) -> None:
        self.lane.away = "it hangs" if away else ""

    @rule(limit=st.none() | st.integers(1, 9))
    def server_is_worth_more_or_less(self, limit: int | None) -> None:
        self.lane.limit = limit

    @rule(busy=st.none() | st.floats(0, 4))
    def cores_are_measured(self, busy: float | None) -> None:
        self.scheduler.busy_cores = busy

    @rule(low=st.booleans())
    def disk_changes(self, low: bool) -> None:
        self.scheduler.disk_low_since = self.now if low else None

    @precondition(lambda self: self.now > 2000)
    @rule()
    def person_says_stop(self) -> None:
        self.scheduler.stopping = True

    @invariant()
    def never_more_than_the_slots(self) -> None:
        for stage, slots in self.slots.items():
            ours = {start.key for start in self.live if start.stage is stage}
            assert len(ours) <= slots
            assert self.scheduler.running(stage) == ours
        if self.scheduler.grading.is_auto:
            assert len(self.live) <= self.slots[Stage.ROLLOUT] + 1, "one memory for both"

    @invariant()
    def retries_stay_within_the_budget(self) -> None:
        for (key, stage), starts in self.starts.items():
            failures = {k: n for (i, s, k), n in self.failed.items() if (i, s) == (key, stage)}
            allowed = sum(min(n, self.retries.get(k, 0)) for k, n in failures.items())
            assert starts <= 1 + allowed

    def teardown(self) -> None:
        """From here on all goes well, and then every work must have ended."""
        if not hasattr(self, "scheduler"):
            return
        stopped = self.scheduler.stopping
        self.scheduler.disk_low_since, self.away = None, set()
        for _ in range(1000):
            if self.scheduler.is_finished:
                break
            self.lane.away = ""
            self.now += 700
            self.admit()
            for start in list(self.live):
                self.end(start, None, wants_grade=True)
        assert self.scheduler.is_finished
        if stopped:
            return
        for key in self.rolling:
            self.assert_ended(key, Stage.ROLLOUT)
        for key in self.wanted:
            self.assert_ended(key, Stage.GRADE)

    def assert_ended(self, key: str, stage: Stage) -> None:
        kind = self.ends[key, stage]
        assert kind is None or self.failed[key, stage, kind] > self.retries.get(kind, 0)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
