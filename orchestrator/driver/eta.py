"""Asks the scheduler what is left, and says how long that takes."""

from __future__ import annotations

import math

from orchestrator.driver.durations import SessionDurations
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import Scheduler, Stage
from orchestrator.driver.time_left import LaneLeft, SessionLeft, Task, TimeRange, time_left
from orchestrator.types import RolloutKey

ANEW_EVERY_S = 5.0
"""It takes some milliseconds, and a display asks four times a second."""


class Eta:
    """Of a session. Times are of the scheduler's clock."""

    def __init__(self, scheduler: Scheduler, durations: SessionDurations) -> None:
        self._scheduler = scheduler
        self._durations = durations
        self._said_at = -math.inf
        self._said: TimeRange | None = None

    def time_left(self, now: float) -> TimeRange | None:
        """None before anything is known of what is left, and where nothing is."""
        if now - self._said_at >= ANEW_EVERY_S:
            self._said_at, self._said = now, self._look(now)
        return self._said if self._has_work_left else None

    @property
    def _has_work_left(self) -> bool:
        if self._scheduler.stopping:
            return any(self._scheduler.running(stage) for stage in Stage)
        return not self._scheduler.is_finished

    def _look(self, now: float) -> TimeRange | None:
        left = {stage: self._tasks(stage, now) for stage in Stage}
        durations = self._durations
        asked = left[Stage.ROLLOUT] or left[Stage.GRADE]
        stage = Stage.ROLLOUT if left[Stage.ROLLOUT] else Stage.GRADE
        if not all(durations.of(stage, key.run_id).is_known for key, _ in asked):
            return None
        kinds = [durations.of(Stage.ROLLOUT, key.run_id).known for key, _ in left[Stage.ROLLOUT]]
        return time_left(
            SessionLeft(
                self._lanes(left[Stage.ROLLOUT]),
                [task for _, task in left[Stage.GRADE]],
                min(self._scheduler.grades_at_once, self._scheduler.grading.most),
                self._scheduler.grading.most,
                max(kinds, key=lambda known: known.error, default=durations.grades.known),
                durations.grades.known,
            )
        )

    def _tasks(self, stage: Stage, now: float) -> list[tuple[RolloutKey, Task]]:
        """What runs, then what waits in its turn; after a stop, no more than what runs."""
        scheduler, durations = self._scheduler, self._durations

        def task(key: RolloutKey, elapsed_s: float | None) -> Task:
            graded_s = 0.0
            if stage is Stage.ROLLOUT and not scheduler.stopping:
                graded_s = durations.patch_chance * durations.expected_s(Stage.GRADE, key)
            return Task(durations.expected_s(stage, key), elapsed_s, graded_s)

        running = scheduler.running_since(stage).items()
        found = [(key, task(key, max(0.0, now - since))) for key, since in running]
        if not scheduler.stopping:
            found += [(key, task(key, None)) for key in scheduler.waiting_in_turn(stage)]
        return found

    def _lanes(self, left: list[tuple[RolloutKey, Task]]) -> list[LaneLeft]:
        """What is left of each, with its share of the session's slots."""
        scheduler = self._scheduler
        tasks: dict[Lane | None, list[Task]] = {}
        for key, task in left:
            tasks.setdefault(scheduler.runs[key.run_id].lane, []).append(task)
        slots = scheduler.rollout_slots
        wanted = {lane: lane.admitted(slots) if lane else slots for lane in tasks}
        share = min(1.0, slots / max(1, sum(wanted.values())))
        return [LaneLeft(max(1, round(share * wanted[lane])), of) for lane, of in tasks.items()]
