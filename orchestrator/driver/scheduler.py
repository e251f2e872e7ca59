"""What starts when, in which order, and how often again: a pure state machine.

It starts nothing itself: `admit` says what to start now, and the `…_done` methods take in how it
went. Times are seconds on any one clock that does not go backwards.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.types import FailureKind, RolloutKey

MAX_RETRY_DELAY_S = 600.0
FIRST_PAUSE_S = 30.0
NO_REASON_TO_PAUSE = (
    FailureKind.ENDPOINT_UNAVAILABLE,
    FailureKind.INTERRUPTED,
    FailureKind.AGENT_CRASHED,
    FailureKind.SANDBOX_BROKEN,
    FailureKind.REQUEST_REFUSED,
    FailureKind.TESTS_TOO_SLOW,
    FailureKind.INTERNAL_ERROR,
)
"""Failures that don't count towards a pause: not the host's fault, or not mended by waiting."""


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


Place = Callable[[Stage, RolloutKey], str | None]
"""The node where something may start now, an empty one for anywhere, or None: nowhere, as its image
is not there. What it places counts as started."""


def anywhere(_stage: Stage, _key: RolloutKey) -> str | None:
    """Of runs that need no images from elsewhere."""
    return ""


@dataclass(frozen=True)
class Hold:
    """Why no rollout, or no grade, is admitted."""

    text: str
    about: str = ""
    """Tells one hold from the next; empty for a model server's outage, which others tell of."""
    until: float | None = None
    """When it ends at the earliest, where that is known."""


@dataclass
class _Pause:
    since: float = 0.0
    until: float = 0.0


@dataclass(order=True)
class _Queued:
    not_before: float
    order: int
    key: RolloutKey = field(compare=False)


@dataclass
class Scheduler:
    """What is queued, what runs, and what is held back.

    Three things hold rollouts back: a person's stop; a model server that is away (until it is
    reported back) or has enough; and a pause, after as many failures in a row as there are slots,
    which doubles while it goes on, so that a dead Docker engine does not burn the whole queue in a
    minute. Grades have a pause of their own.
    """

    rollout_slots: int
    grade_slots: int
    retries: Mapping[FailureKind, int]
    retry_delay_s: float = 10.0
    stopping: bool = False
    endpoint_away: str = ""
    """Where the model server is away, and why; empty while one is up."""
    rollout_limit: int | None = None
    """How many rollouts the model server can serve at once just now; None: as many as slots."""
    disk_low_since: float | None = None
    """Since when the disk is nearly full; None while it has room."""
    _waiting: dict[Stage, list[_Queued]] = field(
        default_factory=lambda: {Stage.ROLLOUT: [], Stage.GRADE: []}
    )
    _running: dict[Stage, set[RolloutKey]] = field(
        default_factory=lambda: {Stage.ROLLOUT: set(), Stage.GRADE: set()}
    )
    _retries_used: Counter[tuple[str, Stage, FailureKind]] = field(default_factory=Counter)
    _failures_in_a_row: Counter[Stage] = field(default_factory=Counter)
    _met_bugs: set[str] = field(default_factory=set)
    """Instances at whose rollouts our own code failed."""
    _bugs_in_a_row: int = 0
    """How many of them, each counted once, since a rollout last ended well."""
    _pauses: dict[Stage, _Pause] = field(
        default_factory=lambda: {Stage.ROLLOUT: _Pause(), Stage.GRADE: _Pause()}
    )
    """The last pause of each stage."""
    _order: int = 0

    def add(self, stage: Stage, keys: Iterable[RolloutKey], not_before: float = 0.0) -> None:
        for key in keys:
            self._order += 1
            heapq.heappush(self._waiting[stage], _Queued(not_before, self._order, key))

    def running(self, stage: Stage) -> frozenset[RolloutKey]:
        return frozenset(self._running[stage])

    def waiting(self, stage: Stage) -> int:
        return len(self._waiting[stage])

    @property
    def is_finished(self) -> bool:
        if any(self._running.values()):
            return False
        return self.stopping or not any(self._waiting.values())

    @property
    def is_idle(self) -> bool:
        """Nothing runs, and no grade waits."""
        return not any(self._running.values()) and not self._waiting[Stage.GRADE]

    def hold(self, now: float) -> Hold | None:
        """Why no rollout, or no grade, is admitted; None where nothing holds them back."""
        if self.endpoint_away:
            return Hold(f"the model server is away: rollouts wait for it ({self.endpoint_away})")
        if self.disk_low_since is not None:
            about = f"disk {self.disk_low_since}"
            return Hold("the disk is nearly full: rollouts wait for room", about)
        for stage, pause in self._pauses.items():
            if pause.until > now:
                failed = self._failures_in_a_row[stage]
                text = f"{failed} {stage}s failed in a row: no other starts"
                return Hold(text, f"{stage}s {pause.since}", pause.until)
        return None

    def admit(self, now: float, place: Place = anywhere) -> list[Start]:
        """What to start now, grades first: they free disk, and verdicts are what the run is for.

        What finds no place stays in the queue, and holds up nothing behind it.
        """
        if self.stopping:
            return []
        stages = [Stage.GRADE]
        if not self.endpoint_away and self.disk_low_since is None:
            stages.append(Stage.ROLLOUT)
        return [
            start
            for stage in stages
            for start in self._take(stage, self._may_run(stage, now), now, place)
        ]

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
        self._running[Stage.ROLLOUT].discard(key)
        if failure is FailureKind.INTERNAL_ERROR:
            self._bugs_in_a_row += key.instance_id not in self._met_bugs
            self._met_bugs.add(key.instance_id)
        elif failure is None:
            self._bugs_in_a_row = 0
        if may_pause and failure not in NO_REASON_TO_PAUSE:
            self._count_in_a_row(Stage.ROLLOUT, failure, now)
        if failure is not None:
            self._retry(Stage.ROLLOUT, key.next_attempt, failure, now)
        elif wants_grade:
            self.add(Stage.GRADE, [key])

    def grade_done(
        self, key: RolloutKey, failure: FailureKind | None, now: float, *, may_pause: bool = True
    ) -> None:
        self._running[Stage.GRADE].discard(key)
        if may_pause and failure not in NO_REASON_TO_PAUSE:
            self._count_in_a_row(Stage.GRADE, failure, now)
        if failure is not None:
            self._retry(Stage.GRADE, key, failure, now)

    def give_back(self, key: RolloutKey) -> None:
        """It has not begun after all, and is the first in its queue again."""
        for stage, running in self._running.items():
            if key in running:
                running.discard(key)
                self._order += 1
                heapq.heappush(self._waiting[stage], _Queued(0.0, -self._order, key))

    def has_left(self, instance_id: str) -> bool:
        """Whether anything of an instance waits or runs."""
        waiting = (queued.key for queue in self._waiting.values() for queued in queue)
        running = (key for keys in self._running.values() for key in keys)
        return any(key.instance_id == instance_id for key in (*running, *waiting))

    def _count_in_a_row(self, stage: Stage, failure: FailureKind | None, now: float) -> None:
        """A success ends a pause; as many failures in a row as are tolerated begin one."""
        if failure is None:
            self._failures_in_a_row[stage], self._pauses[stage].until = 0, 0.0
            return
        self._failures_in_a_row[stage] += 1
        doublings = self._failures_in_a_row[stage] - self._tolerated(stage)
        if doublings >= 0:
            pause, seconds = (
                self._pauses[stage],
                min(FIRST_PAUSE_S * 2**doublings, MAX_RETRY_DELAY_S),
            )
            if pause.until <= now:
                pause.since = now
            pause.until = max(pause.until, now + seconds)

    @property
    def has_met_a_bug(self) -> bool:
        """Our own code failed in rollouts of as many instances in a row as are tolerated.

        No pause mends that. Grades don't count, as a patch can wait for its verdict; nor do
        retries, which come one after the other at a run's end.
        """
        return self._bugs_in_a_row >= self._tolerated(Stage.ROLLOUT)

    @property
    def admitted(self) -> int:
        """How many rollouts may be under way at once."""
        limit = self.rollout_limit
        return self.rollout_slots if limit is None else min(limit, self.rollout_slots)

    def _slots(self, stage: Stage) -> int:
        return self.admitted if stage is Stage.ROLLOUT else self.grade_slots

    def _tolerated(self, stage: Stage) -> int:
        return max(3, self._slots(stage))

    def _may_run(self, stage: Stage, now: float) -> int:
        """How many of a stage may run now: its slots, none, or one to probe after a pause."""
        if now < self._pauses[stage].until:
            return 0
        return 1 if self._failures_in_a_row[stage] >= self._tolerated(stage) else self._slots(stage)

    def _take(self, stage: Stage, slots: int, now: float, place: Place) -> Iterator[Start]:
        waiting, running = self._waiting[stage], self._running[stage]
        skipped = []
        while waiting and len(running) < slots and waiting[0].not_before <= now:
            queued = heapq.heappop(waiting)
            node = place(stage, queued.key)
            if node is None:
                skipped.append(queued)
                continue
            running.add(queued.key)
            yield Start(stage, queued.key, node)
        for queued in skipped:
            heapq.heappush(waiting, queued)

    def _retry(self, stage: Stage, key: RolloutKey, failure: FailureKind, now: float) -> None:
        spent = (key.instance_id, stage, failure)
        used = self._retries_used[spent]
        if used >= self.retries.get(failure, 0):
            return
        self._retries_used[spent] += 1
        delay = min(self.retry_delay_s * 2**used, MAX_RETRY_DELAY_S)
        self.add(stage, [key], now + delay)
