"""Bringing many images to one place, for as long as it takes: the image store decides, threads do.

What waiting mends is waited for. It ends when all have come, or can't, or when the place is full;
and at any time by KeyboardInterrupt, as a pull that is broken off leaves nothing that counts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from orchestrator.ahead.progress import FetchDisplay
from orchestrator.backends.images import PullStep
from orchestrator.images.decisions import (
    AskQuota,
    Decision,
    MeasureRoom,
    Pull,
    StoreHold,
    StoreSettings,
)
from orchestrator.images.holds import nothing_given, quota_spent
from orchestrator.images.layers import ImageSize
from orchestrator.images.node import Node
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem, Quota
from orchestrator.images.store import Store

TICK_S = 0.5
"""How long a decision may wait that nothing but time brings about."""
BREAK_OFF_S = 10.0
"""How long pulls may take to notice that no room is left. They end with this process at the
latest."""
HERE = ""
"""The store's name for the one node that there is."""


class Destination(Protocol):
    """Where images are brought. Its methods may be called from several threads."""

    def bring(self, image: str, on_step: Callable[[PullStep], None]) -> PullStep:
        """Bring an image, and tell how it goes; returns what came. One that is broken off is not
        there: `on_step` may raise.

        Raises:
            PullFailed: it did not come.
        """
        ...

    def room(self) -> int | None:
        """Bytes that may be filled still; None where that can't be said just now."""
        ...

    def quota(self, registry: str) -> Quota | None:
        """What a registry still gives; None where it has no limit, or does not say."""
        ...


class Ending(Enum):
    """Why nothing more is brought."""

    DONE = "done"
    """All images came, or can't be had."""
    FULL = "full"
    """No further image fits."""


@dataclass(frozen=True)
class Fetched:
    """How it ended."""

    ending: Ending
    refused: Mapping[str, PullFailure]


@dataclass(frozen=True)
class _Step:
    image: str
    step: PullStep


@dataclass(frozen=True)
class _Came:
    image: str
    last: PullStep


@dataclass(frozen=True)
class _Failed:
    image: str
    failure: PullFailure


@dataclass(frozen=True)
class _Measured:
    room: int | None


@dataclass(frozen=True)
class _ToldQuota:
    registry: str
    quota: Quota | None


@dataclass(frozen=True)
class _Broke:
    """A thread met what nobody thought of: a bug of this program."""

    error: Exception


_Report = _Step | _Came | _Failed | _Measured | _ToldQuota | _Broke


def make_store(
    images: Mapping[str, frozenset[str]],
    here: Sequence[str],
    sizes: Mapping[str, ImageSize],
    registry_of: Callable[[str], str],
    pulls_at_once: int,
) -> Store:
    """A store of one node that keeps all that comes: it belongs to nobody's run. `images` are
    those that are wanted, in their order, with the instances that use them."""
    node = Node(HERE, resident=set(here), ours=set())
    wanted = {image: set(ids) for image, ids in images.items()}
    known = {image: sizes.get(image, ImageSize((), estimated=True)) for image in images}
    settings = StoreSettings(reserve=0, keep=True, pulls_at_once=pulls_at_once)
    return Store({HERE: node}, wanted, known, registry_of, settings)


class Fetch:
    """One attempt to bring all that a store wants."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        display: FetchDisplay,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._destination = destination
        self._display = display
        self._clock = clock
        self._reports: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self._full = threading.Event()
        """No room is left: pulls that are under way break off."""
        self._full_since = float("inf")

    def run(self) -> Fetched:
        """Bring them. Raises KeyboardInterrupt where a signal does."""
        while True:
            now = self._clock()
            if not self._full.is_set():
                for decision in self._store.decide(now):
                    # daemons: when this process ends, so does what they ask of the engine
                    threading.Thread(target=self._do, args=(decision,), daemon=True).start()
            if (ending := self._ending(now)) is not None:
                return Fetched(ending, dict(self._store.refused))
            self._display.hold(self._hold(now))
            self._take_in()

    def _ending(self, now: float) -> Ending | None:
        node = self._store.nodes[HERE]
        is_short = self._is_short(node, now)
        if is_short and not node.is_measured:
            # what has just come is counted with care; the disk knows better
            node.measured_at, is_short = float("-inf"), False
        if node.low_since is not None or is_short:
            self._full.set()
        if self._full.is_set():
            self._full_since = min(self._full_since, now)
            is_over = not node.pulling or now - self._full_since > BREAK_OFF_S
            return Ending.FULL if is_over else None
        return None if self._missing or node.pulling else Ending.DONE

    def _hold(self, now: float) -> StoreHold | None:
        """Why nothing comes, in a run's words. `Store.hold` tells it only where no rollout could
        start on what is here."""
        node = self._store.nodes[HERE]
        missing = self._missing
        if node.pulling or not missing:
            return None
        registry = self._store.registry_of(missing[0])
        wait = node.waits.get("") or node.waits.get(registry)
        if wait is not None and wait.until > now:
            return nothing_given(wait, registry)
        quota = node.quotas.get(registry)
        if quota is not None and quota.remaining <= 0:
            return quota_spent(node, registry, quota, now)
        return None

    @property
    def _missing(self) -> list[str]:
        here_or_refused = self._store.nodes[HERE].resident | self._store.refused.keys()
        return [image for image in self._store.wanted if image not in here_or_refused]

    def _is_short(self, node: Node, now: float) -> bool:
        """Whether nothing comes though registries would give, as an image seems not to fit."""
        waits = any(wait.until > now for wait in node.waits.values())
        is_spent = any(quota.remaining <= 0 for quota in node.quotas.values())
        if node.pulling or node.measuring or node.asking or waits or is_spent or node.room is None:
            return False
        left, sizes = node.left(self._store.sizes, None), self._store.sizes
        return any(not node.fits(image, sizes, left) for image in self._missing)

    def _take_in(self) -> None:
        """Wait for a report, and take in all that are there."""
        try:
            self._take(self._reports.get(timeout=TICK_S))
            while True:
                self._take(self._reports.get_nowait())
        except queue.Empty:
            self._display.tick()

    def _take(self, report: _Report) -> None:
        store, now = self._store, self._clock()
        match report:
            case _Step(image, step):
                store.progressed(HERE, image, step.compressed)
                self._display.came(image, step.compressed)
            case _Came(image, last):
                store.pulled(HERE, image, last.expanded, now)
                self._display.is_here(image, last)
            case _Failed(image, failure):
                store.pull_failed(HERE, image, failure, now)
                if failure.problem is PullProblem.NO_ROOM:
                    self._full.set()
                self._display.failed(image, failure, given_up=image in store.refused)
            case _Measured(room):
                store.measured(HERE, room, now)
            case _ToldQuota(registry, quota):
                store.told_quota(HERE, registry, quota, now)
            case _Broke(error):
                raise error

    def _do(self, decision: Decision) -> None:
        """In a thread of its own."""
        try:
            match decision:
                case Pull(_, image):
                    self._bring(image)
                case MeasureRoom():
                    self._reports.put(_Measured(self._destination.room()))
                case AskQuota(_, registry):
                    quota = self._destination.quota(registry)
                    self._reports.put(_ToldQuota(registry, quota))
                case _:
                    raise AssertionError(f"{decision}: nothing is ever removed here")
        except Exception as error:  # noqa: BLE001 - the thread's boundary; raised in `run`
            self._reports.put(_Broke(error))

    def _bring(self, image: str) -> None:
        def on_step(step: PullStep) -> None:
            if self._full.is_set():
                words = "broken off: no room is left"
                raise PullFailed(PullFailure(PullProblem.NO_ROOM, words))
            self._reports.put(_Step(image, step))

        self._display.begins(image)
        try:
            self._reports.put(_Came(image, self._destination.bring(image, on_step)))
        except PullFailed as failed:
            self._reports.put(_Failed(image, failed.failure))
