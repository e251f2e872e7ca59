"""A night with images, simulated before it begins: by the store that decides the real one. Pure.

What is simulated: pulls that share the line evenly, rollouts and grades that take their seconds,
a disk on which a shared layer lies once, and registries that give so many pulls in a window. What
is not: that anything fails, the time in which layers are unpacked and images removed, and retries.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from orchestrator.images.decisions import (
    AskQuota,
    Decision,
    Evict,
    MeasureRoom,
    Pull,
    StoreSettings,
)
from orchestrator.images.holds import ASK_QUOTA_EVERY_S
from orchestrator.images.layers import ImageSize, Layer, with_one_layer_each
from orchestrator.images.node import EXPANSION, Node
from orchestrator.images.pulls import Quota
from orchestrator.images.store import MEASURE_EVERY_S, Store

BYTES_PER_S = 25e6
"""Of a line that nobody has measured: 200 Mbit/s."""
LONGEST_S = 90 * 24 * 3600.0
"""A night that is not over then is cut off: its registry gives nothing."""
HERE = ""
AT_ONCE_S = 1.0
"""What waits less than this for its image is not called stalled."""


@dataclass(frozen=True)
class Work:
    """An instance that is left to do in a run. Durations in seconds."""

    instance_id: str
    """Any name for both."""
    image: str
    rollout_s: float
    """0: it is rolled out already."""
    grade_s: float


@dataclass(frozen=True)
class Night:
    """What a run has to do, and what with."""

    work: Sequence[Work]
    """In the run's order."""
    sizes: Mapping[str, ImageSize]
    """By image; one that is not here is in no registry."""
    registry_of: Callable[[str], str]
    settings: StoreSettings
    room: int | None
    """Bytes above the reserve; None where nobody can tell."""
    slots: int
    grade_slots: int
    resident: frozenset[str] = frozenset()
    """Images that are there already."""
    ours: frozenset[str] = frozenset()
    """Those of them that the run has pulled."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """By registry; what is not here has no limit."""
    bytes_per_s: float = BYTES_PER_S
    is_rolling: bool = False
    """Whether each pull counts for a window of its own; else all of a window count until it ends,
    which the first of them began."""


@dataclass(frozen=True)
class Window:
    """In which a registry gave images, and no more of them until it was over."""

    registry: str
    begins_s: float
    pulls: int


@dataclass(frozen=True)
class Stall:
    """A rollout that waited for its image while a slot was idle."""

    instance_id: str
    at_s: float
    """When it started."""
    waited_s: float


@dataclass(frozen=True)
class Forecast:
    """How the night would go. Seconds are since its start."""

    pulls: int = 0
    bytes: int = 0
    """Compressed, as they are transferred."""
    is_estimated: bool = False
    """Sizes of what is pulled are guesses."""
    peak: int = 0
    """Bytes on the disk at most, of what the run has pulled in this session."""
    stays: int = 0
    """How many images of the run are there at its end."""
    windows: tuple[Window, ...] = ()
    """Of registries with a limit."""
    waits_for_quota: bool = False
    """Images are missing at some time, and their registry gives no more of them."""
    stalls: tuple[Stall, ...] = ()
    at_once: int = 0
    """Rollouts that the disk has room for when it has least; all slots where it has enough."""
    lacking: str = ""
    """An image that there is no room for, empty where all come."""
    seconds: float = 0.0


@dataclass
class _Disk:
    """What lies there, each layer once."""

    users: Counter[Layer] = field(default_factory=Counter)
    there: frozenset[Layer] = frozenset()
    """What was there before."""
    used: int = 0
    coming: int = 0
    peak: int = 0

    def add(self, size: ImageSize) -> int:
        """Compressed bytes that are to be transferred."""
        new = [la for la in size.layer_set - self.there if not self.users[la]]
        self.users.update(size.layer_set)
        transfer = sum(layer.size for layer in new)
        self.used += round(transfer * EXPANSION)
        self.coming += transfer
        self.peak = max(self.peak, self.used + self.coming)
        return transfer

    def remove(self, size: ImageSize) -> None:
        self.users.subtract(size.layer_set)
        gone = [layer for layer in size.layer_set - self.there if not self.users[layer]]
        self.used -= round(sum(layer.size for layer in gone) * EXPANSION)


@dataclass
class _Allowance:
    """A registry's quota as the night goes on."""

    quota: Quota
    is_rolling: bool
    spent: int = 0
    begun: deque[float] = field(default_factory=deque)
    """When pulls began that count still; of a fixed window all at its begin."""
    windows: list[list[float]] = field(default_factory=list)
    """Begin and pulls of each."""

    def __post_init__(self) -> None:
        self.begun.extend([0.0] * max(0, self.quota.limit - self.quota.remaining))

    def left(self, now: float) -> int:
        while self.begun and self.begun[0] + self.quota.window_s <= now + 1e-6:
            self.begun.popleft()
        return self.quota.limit - len(self.begun)

    def take(self, now: float) -> None:
        if not self.windows or now >= self.windows[-1][0] + self.quota.window_s - 1e-6:
            self.windows.append([now, 0])
        self.windows[-1][1] += 1
        self.begun.append(now if self.is_rolling or not self.begun else self.begun[0])

    @property
    def was_spent(self) -> bool:
        """A window gave all that it had, and another one was needed."""
        given = [pulls for _, pulls in self.windows[:-1]]
        return any(pulls >= min(self.quota.limit, self.quota.remaining) for pulls in given)

    @property
    def renews_at(self) -> float:
        return self.begun[0] + self.quota.window_s if self.begun else 0.0


def simulate(night: Night) -> Forecast:
    """The night from its start to its last grade, or until nothing can go on."""
    return _Simulation(replace(night, sizes=with_one_layer_each(night.sizes))).run()


class _Simulation:
    def __init__(self, night: Night) -> None:
        self.night, self.now = night, 0.0
        wanted: dict[str, set[str]] = {}
        for work in night.work:
            wanted.setdefault(work.image, set()).add(work.instance_id)
        node = Node(HERE, set(night.resident), set(night.ours), night.slots + night.grade_slots)
        self.store = Store({HERE: node}, wanted, night.sizes, night.registry_of, night.settings)
        self.node = node
        there = [night.sizes[i].layer_set for i in night.resident if i in night.sizes]
        self.disk = _Disk(there=frozenset().union(*there))
        self.allowances = {
            registry: _Allowance(quota, night.is_rolling)
            for registry, quota in night.quotas.items()
        }
        self.rank = {work.instance_id: number for number, work in enumerate(night.work)}
        self.absent: dict[str, list[Work]] = {}
        """What waits for its image."""
        self.ready: list[tuple[int, Work]] = []
        self.to_grade: deque[Work] = deque()
        self.idle_since = [0.0] * night.slots
        self.grading = 0
        self.left = len(night.work)
        self.pulls: dict[str, float] = {}
        """Bytes that are left of each."""
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = count()
        self.pulled, self.transferred, self.is_estimated = 0, 0, False
        self.waits_for_quota = False
        self.stalls: list[Stall] = []
        self.at_once = night.slots
        for work in night.work:
            self._queue(work)

    def run(self) -> Forecast:
        self._settle()
        lacking = ""
        while self.left:
            at = self._next_at()
            if at > LONGEST_S:
                lacking = self.store.lacks_room(self.now)
                break
            self._advance(at)
            self._settle()
        return Forecast(
            pulls=self.pulled,
            bytes=self.transferred,
            is_estimated=self.is_estimated,
            peak=self.disk.peak,
            stays=len(self.node.ours & self.node.resident),
            windows=tuple(self._windows()),
            waits_for_quota=self.waits_for_quota
            or any(allowance.was_spent for allowance in self.allowances.values()),
            stalls=tuple(self.stalls),
            at_once=self.at_once,
            lacking=lacking,
            seconds=self.now,
        )

    def _windows(self) -> Iterator[Window]:
        for registry, allowance in self.allowances.items():
            for begins_s, pulls in allowance.windows:
                yield Window(registry, begins_s, round(pulls))

    # time

    def _next_at(self) -> float:
        at = self.events[0][0] if self.events else math.inf
        if self.pulls:
            rate = self.night.bytes_per_s / len(self.pulls)
            at = min(at, self.now + min(self.pulls.values()) / rate)
        return at

    def _advance(self, at: float) -> None:
        if self.pulls:
            came = (at - self.now) * self.night.bytes_per_s / len(self.pulls)
            for image in self.pulls:
                self.pulls[image] -= came
        self.now = at
        for image in [image for image, left in self.pulls.items() if left <= 1.0]:
            self._pull_done(image)
        while self.events and self.events[0][0] <= self.now:
            heapq.heappop(self.events)[2]()

    def _in(self, seconds: float, what: Callable[[], None] = lambda: None) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.number), what))

    # images

    def _settle(self) -> None:
        """All that is done at this moment."""
        while True:
            decisions = self.store.decide(self.now)
            for decision in decisions:
                self._do(decision)
            if not self._start() and not decisions:
                break
        running = self.night.slots - len(self.idle_since)
        if running and self.absent and self.idle_since and not self.pulls:
            hold = self.store.hold(self.now)
            if hold is not None and hold.about.startswith("room"):
                self.at_once = min(self.at_once, running)

    def _do(self, decision: Decision) -> None:
        match decision:
            case MeasureRoom():
                room = self.night.room
                if room is not None:
                    room -= self.disk.used + self.disk.coming
                self.store.measured(HERE, room, self.now)
            case AskQuota(_, registry):
                self._tell_quota(registry)
            case Evict(_, image):
                self.disk.remove(self.night.sizes[image])
                self.store.evicted(HERE, image, gone=True)
            case Pull(_, image):
                self._begin_pull(image)

    def _tell_quota(self, registry: str) -> None:
        allowance = self.allowances.get(registry)
        if allowance is None:
            self.store.told_quota(HERE, registry, None, self.now)
            return
        quota, left = allowance.quota, allowance.left(self.now)
        told = Quota(quota.limit, left, quota.window_s)
        if left <= 0:
            self.waits_for_quota = True
            self._ask_when_it_renews(allowance)
        self.store.told_quota(HERE, registry, told, self.now)

    def _ask_when_it_renews(self, allowance: _Allowance) -> None:
        self._in(max(ASK_QUOTA_EVERY_S, allowance.renews_at - self.now))

    def _begin_pull(self, image: str) -> None:
        allowance = self.allowances.get(self.night.registry_of(image))
        if allowance is not None:
            allowance.left(self.now)
            allowance.take(self.now)
            if allowance.left(self.now) <= 0:
                self._ask_when_it_renews(allowance)
        transfer = self.disk.add(self.night.sizes[image])
        self.pulled += 1
        self.transferred += transfer
        self.is_estimated |= self.night.sizes[image].estimated
        self.pulls[image] = float(transfer)

    def _pull_done(self, image: str) -> None:
        del self.pulls[image]
        size = self.night.sizes[image]
        if not self.pulls:
            self.disk.coming = 0
        self.store.pulled(HERE, image, round(size.bytes * EXPANSION), self.now)
        for work in self.absent.pop(image, ()):
            self._queue(work)
        self._in(MEASURE_EVERY_S)

    # rollouts and grades

    def _queue(self, work: Work) -> None:
        if self.store.place(work.image, {HERE: 1}) is None and work.image in self.night.sizes:
            self.absent.setdefault(work.image, []).append(work)
        elif work.rollout_s:
            heapq.heappush(self.ready, (self.rank[work.instance_id], work))
        else:
            self.to_grade.append(work)

    def _start(self) -> bool:
        """Whether anything started."""
        started = False
        while self.to_grade and self.grading < self.night.grade_slots:
            self._begin_grade(self.to_grade.popleft())
            started = True
        while self.ready and self.idle_since:
            work = heapq.heappop(self.ready)[1]
            if self.store.place(work.image, {HERE: 1}) is None:
                self.absent.setdefault(work.image, []).append(work)
                continue
            self._begin_rollout(work)
            started = True
        return started

    def _begin_rollout(self, work: Work) -> None:
        waited_s = self.now - heapq.heappop(self.idle_since)
        if waited_s > AT_ONCE_S:
            self.stalls.append(Stall(work.instance_id, self.now, waited_s))
        self.store.pin(HERE, work.image)

        def end() -> None:
            heapq.heappush(self.idle_since, self.now)
            self.store.unpin(HERE, work.image)
            self.to_grade.append(work)

        self._in(work.rollout_s, end)

    def _begin_grade(self, work: Work) -> None:
        self.grading += 1
        self.store.pin(HERE, work.image)

        def end() -> None:
            self.grading -= 1
            self.left -= 1
            self.store.unpin(HERE, work.image)
            self.store.instance_over(work.instance_id)

        self._in(work.grade_s, end)
