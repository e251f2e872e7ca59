"""How many grades may run at once: by cores and memory, and by what rollouts need of them. Pure.

A grade keeps a core busy, and takes as much memory as a rollout's sandbox. A rollout mostly waits
for its model, and its commands want a core now and then. So grades may have all cores but that
share of each rollout; where a measurement says that a core is idle all the same, one more starts.
What rollouts that are about to start need is left for them, and what has ended is for grades. This
says what may start, and nothing under way is ever cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

ROLLOUTS_PER_CORE = 4
"""That ask a model; one that asks none keeps a core busy."""
IDLE_CORES = 0.5
"""So much of the cores must have been idle for another grade to start."""


@dataclass(frozen=True)
class MemoryBudget:
    """Of one machine: what rollouts and grades may take of it together."""

    room_gb: float
    rollout_gb: float
    grade_gb: float

    def rollouts_beside(self, grades: int) -> int:
        """How many rollouts there is room for beside so many grades; 0 or less: for none."""
        return math.floor((self.room_gb - grades * self.grade_gb) / self.rollout_gb)

    def grades_beside(self, rollouts: int) -> float:
        """How many grades there is room for beside so many rollouts; 0 or less: for none."""
        room_gb = self.room_gb - rollouts * self.rollout_gb
        return math.floor(room_gb / self.grade_gb) if self.grade_gb else math.inf


def grades_beside(budgets: Iterable[MemoryBudget], rollouts: int) -> float:
    """How many grades all of the budgets have room for; infinite where there is no budget."""
    return min((budget.grades_beside(rollouts) for budget in budgets), default=math.inf)


@dataclass(frozen=True)
class Load:
    """What goes on at a moment."""

    rollouts: int = 0
    """Under way."""
    starting: int = 0
    """Rollouts that are about to start: they have a slot, and something to do."""
    grades: int = 0
    """Under way."""
    busy_cores: float | None = None
    """Of the cores of this host, on average of the last seconds; None: nobody has measured."""


@dataclass(frozen=True)
class GradingSlots:
    """How many grades at once, at most and as things stand."""

    most: int
    bound: str
    """What binds: the end of a sentence."""
    cores: int | None = None
    """Of the sandboxes' host; None: it is a number that a person or a cluster's nodes say, which
    holds at all times."""
    rollout_cores: float = 1 / ROLLOUTS_PER_CORE
    """What a rollout wants of them."""
    budgets: tuple[MemoryBudget, ...] = ()
    reserved: int = 1
    """Grades that there is memory for beside rollouts in all slots."""
    is_of_nodes: bool = False
    """Whether the nodes of a cluster say it, which are known once it is joined."""

    @classmethod
    def said(cls, count: int, bound: str = "as cluster.grading.slots says") -> GradingSlots:
        """A number that holds at all times."""
        return cls(count, bound)

    @property
    def is_auto(self) -> bool:
        return self.cores is not None

    def at_once(self, load: Load) -> int:
        """How many may be under way now; what is above it already goes on."""
        if self.cores is None:
            return self.most
        rollouts = load.rollouts + load.starting
        by_cores = math.floor(self.cores - rollouts * self.rollout_cores)
        if load.busy_cores is not None and self.cores - load.busy_cores >= IDLE_CORES:
            by_cores = max(by_cores, load.grades + 1)
        return max(1, round(min(self.most, by_cores, grades_beside(self.budgets, rollouts))))

    def rollouts_beside(self, grades: int) -> float:
        """How many rollouts there is memory for beside the grades under way. Those that were
        counted on when the slots were chosen take it from none."""
        if grades <= self.reserved:
            return math.inf
        found = (budget.rollouts_beside(grades) for budget in self.budgets)
        return max(0, min(found, default=math.inf))

    def of_nodes(self, offers: Iterable[int]) -> GradingSlots:
        """The same where the nodes that are there offer so many each."""
        return replace(self, most=max(1, sum(offers)))
