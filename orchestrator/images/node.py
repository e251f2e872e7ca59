"""One node's images: what is there, what comes, how much room is left, and who gives nothing. Pure.

Times are seconds on any one clock that does not go backwards; bytes are on the node's disk unless
they are said to be compressed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import PullFailure, PullProblem, Quota

EXPANSION = 1.4
"""Bytes on disk for a compressed one, until pulls have shown it. Others measured 206 to 240 GiB
on disk for Verified's official images, and 100 to 189 to pull (see `table`): most of that is git's
history, which is compressed already."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 300.0
"""Before a registry that failed is tried again; doubles each time."""
LONGEST_ASKED_S = 6 * 3600.0
"""No registry is waited for longer than this before it is asked again, whatever it says."""
ENDLESS = 2**62
"""Bytes of a disk whose room nobody can tell: the engine says so itself when it is full."""


@dataclass
class Wait:
    """A registry, or the engine, that gives nothing for now."""

    problem: PullProblem
    why: str
    since: float
    until: float
    tries: int = 1
    is_asked: bool = False
    """The registry itself has said how long."""


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
    """Tried in vain to evict since an instance was last over, or the disk last measured."""
    room: int | None = None
    """Bytes above the reserve, when last measured; None before, and where nobody can tell."""
    measured_at: float = float("-inf")
    measuring: bool = False
    come_since: set[str] = field(default_factory=set)
    """Images that came, or were coming, since: their room is not measured yet."""
    begun_with: dict[str, int] = field(default_factory=dict)
    """Bytes that were left when an image's pull began."""
    not_enough: dict[str, int] = field(default_factory=dict)
    """Bytes that were left for an image, and it did not fit, whatever it seems to cost."""
    tried: set[str] = field(default_factory=set)
    """Images that came last as nothing else was left to do, though they did not seem to fit."""
    tried_in_vain: Counter[str] = field(default_factory=Counter)
    """How often they did not fit indeed."""
    low_since: float | None = None
    """Since when less than the reserve is free; None while there is room."""
    waits: dict[str, Wait] = field(default_factory=dict)
    """By registry; the engine's own is under its empty name."""
    quotas: dict[str, Quota] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)
    """When each registry was last asked for its quota."""
    asking: set[str] = field(default_factory=set)
    spent_at: dict[str, list[float]] = field(default_factory=dict)
    """When pulls of a registry with a quota began."""
    compressed: int = 0
    expanded: int = 0
    """Bytes of all images that came, as they were sent and as the engine says they lie there."""

    @property
    def expansion(self) -> float:
        """Bytes on disk for a compressed one; for one that is estimated, where sizes are."""
        return self.expanded / self.compressed if self.compressed else EXPANSION

    @property
    def is_measured(self) -> bool:
        """What is known of its room is of now."""
        is_asked = not self.measuring and self.measured_at > float("-inf")
        return is_asked and (self.room is None or self.come_since <= self.pulling.keys())

    @property
    def runs(self) -> bool:
        return any(self.pins.values())

    def here(self, sizes: Mapping[str, ImageSize]) -> set[Layer]:
        """Layers that are here or on their way."""
        return layers_of((*self.resident, *self.pulling, *self.evicting), sizes)

    def transfer(self, image: str, sizes: Mapping[str, ImageSize]) -> int:
        """Compressed bytes that a pull of the image would bring."""
        return sum(layer.size for layer in sizes[image].layer_set - self.here(sizes))

    def cost(self, image: str, sizes: Mapping[str, ImageSize]) -> int:
        """Bytes that the image would add; while it comes, its compressed layers lie there too."""
        return round(self.transfer(image, sizes) * (self.expansion + 1))

    def taken(self, sizes: Mapping[str, ImageSize]) -> int:
        """Bytes of all that the run has pulled and what it pulls, beyond what was here anyway."""
        layers = layers_of((*self.ours, *self.pulling), sizes)
        layers -= layers_of(self.resident - self.ours, sizes)
        return self._on_disk(layers)

    def freed(self, images: Iterable[str], sizes: Mapping[str, ImageSize]) -> int:
        """Bytes that would be free without these: what others share with them stays."""
        going = set(images)
        stays = layers_of((*(self.resident - going), *self.pulling), sizes)
        return self._on_disk(layers_of(going, sizes) - stays)

    def freed_by_each(
        self, images: Iterable[str], sizes: Mapping[str, ImageSize]
    ) -> dict[str, int]:
        """Bytes that would be free without one of them alone."""
        known = [image for image in (*self.resident, *self.pulling) if image in sizes]
        users = Counter(la.digest for image in known for la in sizes[image].layer_set)
        return {
            image: self._on_disk(la for la in layers_of([image], sizes) if users[la.digest] <= 1)
            for image in images
        }

    def _on_disk(self, layers: Iterable[Layer]) -> int:
        return round(sum(layer.size for layer in layers) * self.expansion)

    def left(self, sizes: Mapping[str, ImageSize], budget: int | None) -> int:
        """Bytes that a further image may take."""
        if self.measured_at == float("-inf") and self.room is None:
            return 0
        room = ENDLESS
        if self.room is not None:
            unmeasured = layers_of(self.come_since, sizes)
            unmeasured -= layers_of(self.resident - self.come_since, sizes)
            room = self.room - round(sum(la.size for la in unmeasured) * (self.expansion + 1))
        return room if budget is None else min(room, budget - self.taken(sizes))

    def fits(self, image: str, sizes: Mapping[str, ImageSize], left: int) -> bool:
        """Whether so many bytes are enough for it, by what is known."""
        return self.cost(image, sizes) <= left and left > self.not_enough.get(image, -1)

    def begin(self, image: str, registry: str, left: int, now: float) -> None:
        """Its pull begins."""
        quota = self.quotas.get(registry)
        if quota is not None:
            self.quotas[registry] = Quota(quota.limit, quota.remaining - 1, quota.window_s)
            spent = self.spent_at.setdefault(registry, [])
            spent[:] = [at for at in spent if at > now - quota.window_s]
            spent.append(now)
        self.tried.discard(image)
        self.pulling[image] = 0
        self.begun_with[image] = left
        self.ours.add(image)
        self.come_since.add(image)

    def lacked_room(self, image: str) -> None:
        """It did not fit, or it came and left less free than the reserve."""
        self.not_enough[image] = self.begun_with.get(image, 0)
        self.tried_in_vain[image] += image in self.tried

    def wait_for(self, registry: str, now: float, probed: bool) -> Wait | None:
        """Why nothing may be pulled from there now; None where it may be tried.

        `probed` says that something is on its way from there: when a wait is over, one goes ahead
        to see whether it gives again.
        """
        for name, is_probed in (("", bool(self.pulling)), (registry, probed)):
            wait = self.waits.get(name)
            if wait is not None and (wait.until > now or is_probed):
                return wait
        return None

    def failed(
        self, registry: str, failure: PullFailure, now: float, asked_s: float | None = None
    ) -> None:
        """The registry gave nothing; `asked_s` is what it asked to wait."""
        before = self.waits.get(registry)
        tries = before.tries + 1 if before and before.problem is failure.problem else 1
        until = now + min(FIRST_WAIT_S * 2.0 ** min(tries - 1, 10), LONGEST_WAIT_S)
        if before is not None and before.until > now:
            tries, until = before.tries, before.until  # others failed at the same moment
        is_asked = before is not None and before.is_asked and before.until > now
        if asked_s is not None and asked_s > 0:
            until, is_asked = max(until, now + min(asked_s, LONGEST_ASKED_S)), True
        since = before.since if before else now
        self.waits[registry] = Wait(failure.problem, failure.detail, since, until, tries, is_asked)

    def gave(self, registry: str) -> None:
        for name in ("", registry):
            self.waits.pop(name, None)


def layers_of(images: Iterable[str], sizes: Mapping[str, ImageSize]) -> set[Layer]:
    """All layers of images; of one whose size nobody knows, none."""
    return set().union(*(sizes[image].layer_set for image in images if image in sizes))
