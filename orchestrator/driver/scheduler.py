"""What starts when, in which order, and how often again: a pure state machine.

It starts nothing itself: `admit` says what to start now, and the `…_done` methods take in how it
went. Times are seconds on any one clock that does not go backwards.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.driver.grading_slots import GradingSlots, Load
from orchestrator.driver.lanes import Lane
from orchestrator.driver.pauses import NO_REASON_TO_PAUSE, Pause
from orchestrator.driver.work_queue import Turn, WorkQueue
from orchestrator.types import FailureKind, RolloutKey

MAX_RETRY_DELAY_S = 600.0
SHARED_LOSSES = 2
"""After so many an instance's rollouts run alone."""


class Stage(StrEnum):
    ROLLOUT = "rollout"
    GRADE = "grade"


@dataclass(frozen=True)
class Start:
    """Something to start now."""

    stage: Stage
    key: RolloutKey
    node: str = ""
    """Where; empty: anywhere."""
    alone: bool = False
    """A rollout, in a process of its own: those that shared one with it were lost time and again,
    and the next death of its process is its own doing."""


Place = Callable[[Stage, RolloutKey], str | None]
"""The node where something may start now, an empty one for anywhere, or None: nowhere, as its image
is not there. What it places counts as started."""


def anywhere(_stage: Stage, _key: RolloutKey) -> str | None:
    """Of runs that need no images from elsewhere."""
    return ""


def needs_nothing(_key: RolloutKey) -> bool:
    """Of runs that need no images from elsewhere."""
    return True


@dataclass(frozen=True)
class RunTerms:
    """What a run of a session asks of the scheduler."""

    retries: Mapping[FailureKind, int]
    retry_delay_s: float = 10.0
    lane: Lane | None = None
    """None for agents that ask no model."""


@dataclass(frozen=True)
class Hold:
    """Why no rollout, or no grade, is admitted."""

    text: str
    about: str = ""
    """Tells one hold from the next; empty for a model server's outage, which others tell of."""
    until: float | None = None
    """When it ends at the earliest, where that is known."""


@dataclass
class Scheduler:
    """What is queued, what runs, and what is held back, of all runs of a session.

    Rollouts of several runs wait in one queue. Three things hold them back: a person's stop; a
    model server that is away (until it is reported back) or has enough, for those that ask it; and
    a pause, after as many failures in a row as there are slots, which doubles while it goes on, so
    that a dead Docker engine does not burn the whole queue in a minute. Grades have a pause of
    their own.
    """

    rollout_slots: int
    grading: GradingSlots
    runs: Mapping[str, RunTerms]
    """By run id."""
    busy_cores: float | None = None
    """Of the sandboxes' host, measured since the last grade started; None: nobody has."""
    is_ready: Callable[[RolloutKey], bool] = needs_nothing
    """Whether a rollout finds its image wherever a slot is free for it."""
    stopping: bool = False
    disk_low_since: float | None = None
    """Since when the disk is nearly full; None while it has room."""
    _queues: dict[Stage, WorkQueue] = field(
        default_factory=lambda: {stage: WorkQueue() for stage in Stage}
    )
    _retries_used: Counter[tuple[str, str, Stage, FailureKind]] = field(default_factory=Counter)
    """By run and instance."""
    _met_bugs: set[tuple[str, str]] = field(default_factory=set)
    """Runs and instances at whose rollouts our own code failed."""
    _bugs_in_a_row: Counter[str] = field(default_factory=Counter)
    """By run: how many of them, each counted once, since a rollout of it last ended well."""
    _dropped: list[RolloutKey] = field(default_factory=list)
    """What waited for a server that stayed away for too long."""
    _pauses: dict[Stage, Pause] = field(default_factory=lambda: {stage: Pause() for stage in Stage})

    def add(self, stage: Stage, keys: Iterable[RolloutKey], not_before: float = 0.0) -> None:
        self._queues[stage].add(keys, not_before)

    def sort(self, stage: Stage, turn: Turn) -> None:
        """From now on, what waits starts by its turn."""
        self._queues[stage].turn = turn

    def running(self, stage: Stage) -> frozenset[RolloutKey]:
        return frozenset(self._queues[stage].running)

    def running_since(self, stage: Stage) -> Mapping[RolloutKey, float]:
        return dict(self._queues[stage].running)

    def waiting(self, stage: Stage) -> int:
        return len(self._queues[stage])

    def waiting_in_turn(self, stage: Stage) -> list[RolloutKey]:
        """Also what has to wait for some time yet."""
        return self._queues[stage].in_turn(math.inf)

    @property
    def is_finished(self) -> bool:
        if any(queue.running for queue in self._queues.values()):
            return False
        return self.stopping or not any(self._queues.values())

    @property
    def is_idle(self) -> bool:
        """Nothing runs, and no grade waits."""
        is_running = any(queue.running for queue in self._queues.values())
        return not is_running and not self._queues[Stage.GRADE]

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Of the runs that ask a model, each once."""
        lanes = (terms.lane for terms in self.runs.values())
        return tuple(dict.fromkeys(lane for lane in lanes if lane is not None))

    def under_way(self, lane: Lane) -> int:
        """How many rollouts of a lane run."""
        # a display asks from a thread of its own what is left
        running = tuple(self._queues[Stage.ROLLOUT].running)
        return sum(self._lane(key) is lane for key in running)

    def hold(self, now: float) -> Hold | None:
        """Why no rollout, or no grade, is admitted; None where nothing holds them all back."""
        if not any(terms.lane is None or terms.lane.is_open for terms in self.runs.values()):
            return self.hold_of_lanes()
        if self.disk_low_since is not None:
            about = f"disk {self.disk_low_since}"
            return Hold("the disk is nearly full: rollouts wait for room", about)
        for stage, pause in self._pauses.items():
            if pause.until > now:
                text = f"{pause.failures} {stage}s failed in a row: no other starts"
                return Hold(text, f"{stage}s {pause.since}", pause.until)
        return None

    def hold_of_lanes(self) -> Hold | None:
        """Which model servers are away, while others may go on; None where none is."""
        away = [lane for lane in self.lanes if lane.away and not lane.has_given_up]
        if not away:
            return None
        if len(self.lanes) == 1:
            why = away[0].away
            return Hold(f"the model server is away: rollouts wait for it ({why})")
        servers = "; ".join(f"{lane.name} ({lane.away})" for lane in away)
        are = "is" if len(away) == 1 else "are"
        return Hold(f"away {are} {servers}: their rollouts wait, and others go on")

    def held_back(self) -> frozenset[RolloutKey]:
        """Rollouts that wait for a server which is away, while there is something else to do."""
        if all(lane.is_open for lane in self.lanes):
            return frozenset()
        waiting = list(self._queues[Stage.ROLLOUT].waiting)
        held = frozenset(key for key in waiting if not self._is_open(key))
        others = len(held) < len(waiting) or self._queues[Stage.GRADE] or self._goes_on
        return held if others else frozenset()

    def give_up(self, lane: Lane) -> None:
        """Drop what waits for a server that stays away. Where nothing else can be done, that is a
        stop."""
        lane.has_given_up = True
        self._dropped += self._queues[Stage.ROLLOUT].drop(lambda key: self._lane(key) is lane)
        if all(terms.lane and terms.lane.has_given_up for terms in self.runs.values()):
            self.stopping = True

    def take_dropped(self) -> list[RolloutKey]:
        """What was dropped since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def admit(self, now: float, place: Place = anywhere) -> list[Start]:
        """What to start now, grades first: they free disk, and verdicts are what the run is for.

        What finds no place, or no room in its lane, stays in the queue, and holds up nothing
        behind it.
        """
        if self.stopping:
            return []
        stages = [Stage.GRADE]
        if self.disk_low_since is None:
            stages.append(Stage.ROLLOUT)
        return [start for stage in stages for start in self._take(stage, now, place)]

    def rollout_done(
        self,
        key: RolloutKey,
        failure: FailureKind | None,
        wants_grade: bool,
        now: float,
        *,
        may_pause: bool = True,
    ) -> None:
        """Take in a rollout's end; a failure is queued again under the next attempt, if it may.

        `may_pause` False: its failure is the instance's alone, and says nothing of the host.
        """
        self._queues[Stage.ROLLOUT].running.pop(key, None)
        if failure is FailureKind.INTERNAL_ERROR:
            self._bugs_in_a_row[key.run_id] += (key.run_id, key.instance_id) not in self._met_bugs
            self._met_bugs.add((key.run_id, key.instance_id))
        elif failure is None:
            self._bugs_in_a_row[key.run_id] = 0
        if may_pause and failure not in NO_REASON_TO_PAUSE:
            self._pauses[Stage.ROLLOUT].count(failure, self._tolerated(Stage.ROLLOUT), now)
        if failure is not None:
            self._retry(Stage.ROLLOUT, key.next_attempt, failure, now)
        elif wants_grade:
            self.add(Stage.GRADE, [key])

    def grade_done(
        self, key: RolloutKey, failure: FailureKind | None, now: float, *, may_pause: bool = True
    ) -> None:
        self._queues[Stage.GRADE].running.pop(key, None)
        if may_pause and failure not in NO_REASON_TO_PAUSE:
            self._pauses[Stage.GRADE].count(failure, self._tolerated(Stage.GRADE), now)
        if failure is not None:
            self._retry(Stage.GRADE, key, failure, now)

    def give_back(self, key: RolloutKey) -> None:
        """It has not begun after all, and is the first in its queue again."""
        for queue in self._queues.values():
            if key in queue.running:
                queue.give_back(key)

    def has_left(self, key: RolloutKey) -> bool:
        """Whether any attempt at the key's instance in its run waits or runs."""
        keys = (other for queue in self._queues.values() for other in queue.keys)
        return any(_same_instance(key, other) for other in keys)

    @property
    def has_met_a_bug(self) -> bool:
        """Our own code failed in rollouts of as many instances of a run in a row as are tolerated.

        No pause mends that, and other runs that go well don't either. Grades don't count, as a
        patch can wait for its verdict; nor do retries, which come one after the other at the end.
        """
        most = max(self._bugs_in_a_row.values(), default=0)
        return most >= self._tolerated(Stage.ROLLOUT)

    @property
    def admitted(self) -> int:
        """How many rollouts may be under way at once."""
        if any(terms.lane is None for terms in self.runs.values()):
            return self.rollout_slots
        of_lanes = sum(lane.admitted(self.rollout_slots) for lane in self.lanes)
        return min(self.rollout_slots, of_lanes)

    @property
    def grades_at_once(self) -> int:
        """How many grades may be under way at once as things stand."""
        return self.grading.at_once(self._load)

    def _slots(self, stage: Stage) -> int:
        """How many may run as things stand."""
        if stage is Stage.GRADE:
            return self.grades_at_once
        beside = self.grading.rollouts_beside(len(self._queues[Stage.GRADE].running))
        return round(min(self.admitted, beside))

    @property
    def _load(self) -> Load:
        queue, starting = self._queues[Stage.ROLLOUT], 0
        rollouts = len(queue.running)
        if self.disk_low_since is None:
            free = self._free(Stage.ROLLOUT)
            waiting = Counter(self._lane(key) for key in queue.waiting if self.is_ready(key))
            may_start = sum(max(0, min(count, free[lane])) for lane, count in waiting.items())
            starting = max(0, min(may_start, self.admitted - rollouts))
        grades = len(self._queues[Stage.GRADE].running)
        return Load(rollouts, starting, grades, self.busy_cores)

    def _tolerated(self, stage: Stage) -> int:
        return max(3, self.admitted if stage is Stage.ROLLOUT else self.grading.most)

    def _may_run(self, stage: Stage, now: float) -> int:
        """How many of a stage may run now: its slots, none, or one to probe after a pause."""
        return self._pauses[stage].may_run(self._slots(stage), self._tolerated(stage), now)

    def _lane(self, key: RolloutKey) -> Lane | None:
        return self.runs[key.run_id].lane

    def _is_open(self, key: RolloutKey) -> bool:
        lane = self._lane(key)
        return lane is None or lane.is_open

    @property
    def _goes_on(self) -> bool:
        """Something runs that waits for no server."""
        running = (key for queue in self._queues.values() for key in queue.running)
        return bool(self._queues[Stage.GRADE].running) or any(map(self._is_open, running))

    def _free(self, stage: Stage) -> dict[Lane | None, int]:
        """How many more of a stage may run, by lane; None: of what asks no model."""
        if stage is Stage.GRADE:
            return dict.fromkeys((None, *self.lanes), self.grading.most)
        free: dict[Lane | None, int] = {
            lane: lane.admitted(self.rollout_slots) - self.under_way(lane) if lane.is_open else 0
            for lane in self.lanes
        }
        if any(terms.lane is None for terms in self.runs.values()):
            free[None] = self.rollout_slots
        return free

    def _take(self, stage: Stage, now: float, place: Place) -> list[Start]:
        queue, lanes = self._queues[stage], self._free(stage)
        free = self._may_run(stage, now) - len(queue.running)
        starts: list[Start] = []
        for key in queue.in_turn(now) if free > 0 else ():
            if len(starts) >= free or not any(count > 0 for count in lanes.values()):
                break
            lane = self._lane(key)
            node = place(stage, key) if lanes[lane] > 0 else None
            if node is not None:
                lanes[lane] -= 1
                starts.append(Start(stage, key, node, self._is_alone(stage, key)))
        queue.start([start.key for start in starts], now)
        if starts and stage is Stage.GRADE:
            self.busy_cores = None  # what was measured before says nothing of them
        return starts

    def _is_alone(self, stage: Stage, key: RolloutKey) -> bool:
        spent = (key.run_id, key.instance_id, stage, FailureKind.SHARED_WORKER_LOST)
        return stage is Stage.ROLLOUT and self._retries_used[spent] >= SHARED_LOSSES

    def _retry(self, stage: Stage, key: RolloutKey, failure: FailureKind, now: float) -> None:
        terms = self.runs[key.run_id]
        if stage is Stage.ROLLOUT and terms.lane is not None and terms.lane.has_given_up:
            return
        spent = (key.run_id, key.instance_id, stage, failure)
        used = self._retries_used[spent]
        if used >= terms.retries.get(failure, 0):
            return
        self._retries_used[spent] += 1
        delay = min(terms.retry_delay_s * 2**used, MAX_RETRY_DELAY_S)
        self.add(stage, [key], now + delay)


def _same_instance(one: RolloutKey, other: RolloutKey) -> bool:
    return (one.run_id, one.instance_id) == (other.run_id, other.instance_id)
