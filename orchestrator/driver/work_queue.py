"""What waits and what runs, of one stage. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from orchestrator.types import RolloutKey

Turn = Callable[[RolloutKey], float]
"""What those that wait are sorted by, the lowest first; of one value, in the order in which they
came."""


def as_they_came(_key: RolloutKey) -> float:
    """All have the same turn."""
    return 0.0


@dataclass(frozen=True)
class Queued:
    """Something that waits."""

    key: RolloutKey
    order: int
    not_before: float = 0.0


@dataclass
class WorkQueue:
    """Times are seconds on any one clock that does not go backwards."""

    turn: Turn = as_they_came
    running: dict[RolloutKey, float] = field(default_factory=dict)
    """Since when."""
    _waiting: list[Queued] = field(default_factory=list)
    _order: int = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def waiting(self) -> Iterator[RolloutKey]:
        """In no order."""
        return (queued.key for queued in self._waiting)

    @property
    def keys(self) -> Iterator[RolloutKey]:
        """Of all that waits or runs."""
        yield from self.running
        yield from self.waiting

    def add(self, keys: Iterable[RolloutKey], not_before: float = 0.0) -> None:
        for key in keys:
            self._order += 1
            self._waiting.append(Queued(key, self._order, not_before))

    def in_turn(self, now: float) -> list[RolloutKey]:
        """What may start now, in the order in which it is to: what was put off comes last, and what
        was given back first."""

        def place(queued: Queued) -> tuple[float, float, int]:
            first = 0.0 if queued.order > 0 else -1.0
            return queued.not_before or first, self.turn(queued.key), queued.order

        return [q.key for q in sorted(self._waiting, key=place) if q.not_before <= now]

    def start(self, keys: Iterable[RolloutKey], now: float) -> None:
        """They wait no more, and run."""
        started = dict.fromkeys(keys, now)
        self.running |= started
        self._waiting = [queued for queued in self._waiting if queued.key not in started]

    def give_back(self, key: RolloutKey) -> None:
        """It has not begun after all, and is the first that waits."""
        del self.running[key]
        self._order += 1
        self._waiting.append(Queued(key, -self._order))

    def drop(self, unwanted: Callable[[RolloutKey], bool]) -> list[RolloutKey]:
        """Take out what waits and is not wanted any more."""
        dropped = [key for key in self.waiting if unwanted(key)]
        self._waiting = [queued for queued in self._waiting if not unwanted(queued.key)]
        return dropped
