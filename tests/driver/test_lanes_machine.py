"""The scheduler with runs on several model servers, against anything that these may do."""

from __future__ import annotations

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
    rule,
)

from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage, Start
from orchestrator.types import FailureKind, RolloutKey

pytestmark = pytest.mark.slow

RUNS = ("a", "b", "c", "gold")
"""Runs a and b ask one server, c another, and gold none."""
FAILURE = FailureKind.AGENT_CRASHED
"""One that begins no pause and ends no session."""


class LanesMachine(RuleBasedStateMachine):
    """Starts what is admitted, ends it, and holds servers back."""

    running = Bundle("running")

    @initialize(
        slots=st.integers(1, 6),
        bounds=st.tuples(*2 * [st.none() | st.integers(1, 4)]),
        count=st.integers(0, 4),
        retries=st.integers(0, 2),
    )
    def begin(
        self, slots: int, bounds: tuple[int | None, int | None], count: int, retries: int
    ) -> None:
        self.shared, self.other = Lane("shared", bounds[0]), Lane("other", bounds[1])
        self.lanes = {"a": self.shared, "b": self.shared, "c": self.other, "gold": None}
        self.slots, self.retries = slots, retries
        terms = {run: RunTerms({FAILURE: retries}, 0, lane) for run, lane in self.lanes.items()}
        self.scheduler = Scheduler(slots, GradingSlots.said(2), terms)
        self.left = {RolloutKey(run, f"i{n}", 1) for n in range(count) for run in RUNS}
        self.scheduler.add(
            Stage.ROLLOUT, sorted(self.left, key=lambda k: (k.instance_id, k.run_id))
        )
        self.live: list[Start] = []
        self.graded: set[RolloutKey] = set()
        self.to_grade: set[RolloutKey] = set()
        self.dropped: set[RolloutKey] = set()
        self.failed = 0

    def of(self, lane: Lane | None) -> list[Start]:
        rolling = [start for start in self.live if start.stage is Stage.ROLLOUT]
        return [start for start in rolling if self.lanes[start.key.run_id] is lane]

    @rule(target=running)
    def admit(self) -> object:
        before = {lane: len(self.of(lane)) for lane in (self.shared, self.other, None)}
        waiting = {lane: any(self.lanes[k.run_id] is lane for k in self.left) for lane in before}
        starts = self.scheduler.admit(0.0)
        for start in starts:
            lane = self.lanes[start.key.run_id]
            if start.stage is Stage.ROLLOUT:
                assert lane is None or lane.is_open, "a lane that is held starts nothing"
                assert start.key in self.left, "nothing is doubled"
                self.left.discard(start.key)
            else:
                assert start.key in self.to_grade
                self.to_grade.discard(start.key)
        self.live += starts
        rolling = sum(before.values()) + sum(s.stage is Stage.ROLLOUT for s in starts)
        for lane, waits in waiting.items():
            may = lane is None or (lane.is_open and before[lane] < lane.admitted(self.slots))
            if waits and may and rolling < self.slots:
                full = lane is not None and len(self.of(lane)) >= lane.admitted(self.slots)
                none_left = not any(self.lanes[k.run_id] is lane for k in self.left)
                assert full or none_left, "a held or full lane holds up no other"
        return multiple(*starts)

    @rule(start=consumes(running), fails=st.booleans(), wants_grade=st.booleans())
    def end(self, start: Start, fails: bool, wants_grade: bool) -> None:
        self.live.remove(start)
        if start.stage is Stage.GRADE:
            self.scheduler.grade_done(start.key, None, 0.0)
            self.graded.add(start.key)
            return
        if fails and start.key.attempt <= self.retries:
            lane = self.lanes[start.key.run_id]
            if lane is None or not lane.has_given_up:
                self.left.add(start.key.next_attempt)
        if not fails and wants_grade:
            self.to_grade.add(start.key)
        failure = FAILURE if fails else None
        self.scheduler.rollout_done(start.key, failure, wants_grade, 0.0)

    @rule(shared=st.booleans(), other=st.booleans())
    def servers_go_and_come_back(self, shared: bool, other: bool) -> None:
        self.shared.away, self.other.away = ("hangs" if away else "" for away in (shared, other))

    @rule(shared=st.none() | st.integers(1, 9), other=st.none() | st.integers(1, 9))
    def servers_are_worth_more_or_less(self, shared: int | None, other: int | None) -> None:
        self.shared.limit, self.other.limit = shared, other

    @rule(which=st.sampled_from(["shared", "other"]))
    def a_server_stays_away_for_too_long(self, which: str) -> None:
        lane = self.shared if which == "shared" else self.other
        self.scheduler.give_up(lane)
        dropped = set(self.scheduler.take_dropped())
        assert dropped == {key for key in self.left if self.lanes[key.run_id] is lane}
        self.left -= dropped
        assert not self.scheduler.stopping, "gold goes on"

    @invariant()
    def what_is_held_back_waits_for_a_server_that_is_away(self) -> None:
        held = self.scheduler.held_back()
        closed = {key for key in self.left if not self.is_open(key)}
        assert held in (closed, frozenset())
        if held:
            going = [s for s in self.live if s.stage is Stage.GRADE or self.is_open(s.key)]
            assert going or self.to_grade or self.left - held, "something else is to be done"

    def is_open(self, key: RolloutKey) -> bool:
        lane = self.lanes[key.run_id]
        return lane is None or lane.is_open

    @invariant()
    def never_more_than_the_slots(self) -> None:
        assert len(self.scheduler.running(Stage.ROLLOUT)) <= self.slots
        assert self.scheduler.running(Stage.ROLLOUT) == {
            start.key for start in self.live if start.stage is Stage.ROLLOUT
        }

    def teardown(self) -> None:
        """Servers are back, all goes well, and nothing is left but what was given up."""
        if not hasattr(self, "scheduler"):
            return
        for _ in range(40):
            self.shared.away = self.other.away = ""
            self.admit()
            for start in list(self.live):
                self.end(start, fails=False, wants_grade=True)
        assert self.scheduler.is_finished
        assert (self.left, self.to_grade, self.live) == (set(), set(), [])


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
