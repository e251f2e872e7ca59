"""What the number of grades goes by, looked at while a session runs: cores that are idle, and the
nodes of a cluster."""

from __future__ import annotations

import math
from collections.abc import Callable

from orchestrator.driver.executor import Executor
from orchestrator.driver.scheduler import Scheduler

LOOK_EVERY_S = 2.0


class GradingWatch:
    """Tells the scheduler what it can't see."""

    def __init__(
        self,
        scheduler: Scheduler,
        executor: Executor,
        busy_cores: Callable[[], float] | None,
        clock: Callable[[], float],
    ) -> None:
        """`busy_cores` says how many cores of the sandboxes' host were busy since it was last
        asked; None where that is another host."""
        self._scheduler = scheduler
        self._executor = executor
        self._busy_cores = busy_cores
        self._clock = clock
        self._looked_at = -math.inf

    def look(self) -> None:
        """Look, once in a while."""
        now, before = self._clock(), self._looked_at
        if now - before < LOOK_EVERY_S:
            return
        self._looked_at = now
        grading = self._scheduler.grading
        if grading.is_of_nodes:
            offers = [node.grades for node in self._executor.nodes()]
            self._scheduler.grading = grading.of_nodes(offers)
        elif grading.is_auto and self._busy_cores is not None:
            busy = self._busy_cores()
            # the first answer is about the time before this session
            self._scheduler.busy_cores = busy if math.isfinite(before) else None

    def grade_started(self) -> None:
        """What is measured next is measured with it."""
        if self._busy_cores is not None and math.isfinite(self._looked_at):
            self._busy_cores()
            self._looked_at = self._clock()
