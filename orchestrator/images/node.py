"""One node's images: what is there, what comes, how much room is left, and who gives nothing. Pure.

Times are seconds on any one clock that does not go backwards; bytes are on the node's disk unless
they are said to be compressed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import PullProblem, Quota

EXPANSION = 2.8
"""Bytes on disk for a compressed one, until pulls have shown it: official images are text and
programs."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 300.0
"""Before a registry that failed is tried again; doubles each time."""


@dataclass
class Wait:
    """A registry, or the engine, that gives nothing for now."""

    problem: PullProblem
    why: str
    since: float
    until: float
    tries: int = 1


@dataclass
class Node:
    name: str
    resident: set[str]
    """Images that are there and may be used."""
    ours: set[str]
    """Pulled by this run, in any session."""
    slots: int = 1
    """Rollouts and grades that it may run at once."""
    pins: Counter[str] = field(default_factory=Counter)
    """Rollouts and grades that use an image now."""
    pulling: dict[str, int] = field(default_factory=dict)
    """Compressed bytes that have come so far, by image."""
    evicting: set[str] = field(default_factory=set)
    in_use: set[str] = field(default_factory=set)
    """Tried in vain to evict since an instance was last over."""
    room: int | None = None
    """Bytes above the reserve, when last measured; None before."""
    measured_at: float = float("-inf")
    measuring: bool = False
    come_since: set[str] = field(default_factory=set)
    """Images that came, or were coming, since: their room is not measured yet."""
    low_since: float | None = None
    """Since when less than the reserve is free; None while there is room."""
    waits: dict[str, Wait] = field(default_factory=dict)
    """By registry; the engine's own is under its empty name."""
    quotas: dict[str, Quota] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)
    """When each registry was last asked for its quota."""
    asking: set[str] = field(default_factory=set)
    compressed: int = 0
    expanded: int = 0
    """Bytes of all images that came, as they were sent and as the engine says they lie there."""

    @property
    def expansion(self) -> float:
        """Bytes on disk for a compressed one."""
        return self.expanded / self.compressed if self.compressed else EXPANSION

    def here(self, sizes: Mapping[str, ImageSize]) -> set[Layer]:
        """Layers that are here or on their way."""
        return layers_of((*self.resident, *self.pulling, *self.evicting), sizes)

    def cost(self, image: str, sizes: Mapping[str, ImageSize]) -> int:
        """Bytes that the image would add; while it comes, its compressed layers lie there too."""
        new = set(sizes[image].layers) - self.here(sizes)
        return round(sum(layer.size for layer in new) * (self.expansion + 1))

    def taken(self, sizes: Mapping[str, ImageSize]) -> int:
        """Bytes of all that the run has pulled and what it pulls."""
        layers = layers_of((*self.ours, *self.pulling), sizes)
        return round(sum(layer.size for layer in layers) * self.expansion)

    def left(self, sizes: Mapping[str, ImageSize], budget: int | None) -> int:
        """Bytes that a further image may take."""
        if self.room is None:
            return 0
        unmeasured = layers_of(self.come_since, sizes)
        unmeasured -= layers_of(self.resident - self.come_since, sizes)
        room = self.room - round(sum(layer.size for layer in unmeasured) * (self.expansion + 1))
        return room if budget is None else min(room, budget - self.taken(sizes))

    def wait_for(self, registry: str, now: float) -> Wait | None:
        """Why nothing may be pulled from there now; None where it may be tried."""
        for name in ("", registry):
            wait = self.waits.get(name)
            # when its time is over, one goes ahead to see whether it gives again
            if wait is not None and (wait.until > now or self.pulling):
                return wait
        return None

    def failed(
        self, registry: str, problem: PullProblem, why: str, now: float, until: float | None
    ) -> None:
        """The registry gave nothing; `until` is what it asked to wait for."""
        before = self.waits.get(registry)
        tries = before.tries + 1 if before and before.problem is problem else 1
        delay = min(FIRST_WAIT_S * 2.0 ** min(tries - 1, 10), LONGEST_WAIT_S)
        if before is not None and before.until > now:
            tries, delay = before.tries, before.until - now  # others failed at the same moment
        since = before.since if before else now
        self.waits[registry] = Wait(problem, why, since, max(now + delay, until or now), tries)

    def gave(self, registry: str) -> None:
        for name in ("", registry):
            self.waits.pop(name, None)


def layers_of(images: Iterable[str], sizes: Mapping[str, ImageSize]) -> set[Layer]:
    """All layers of images; of one whose size nobody knows, none."""
    return {layer for image in images if image in sizes for layer in sizes[image].layers}
