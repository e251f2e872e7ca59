"""The image store: which images come next onto a node, which may be used there, and which go. Pure.

It does nothing itself: `decide` says what to do now, and the other methods take in how that went.
One store knows all nodes of a run, as each image goes to one of them. Its aims, in their order:

1. An image that is used, or that has an instance which is not over, stays.
2. Only images that the run has pulled are ever removed.
3. A node's disk keeps its reserve: under it nothing starts there, and what can go goes.
4. Images come in the order in which they are wanted, as far ahead as the room goes: where pulls are
   rationed, none of the ration is left unused.
5. What waiting mends (a registry that is away, a quota that is spent, a full disk) is waited for,
   and costs no instance anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.images.decisions import (
    AskQuota,
    Decision,
    Evict,
    Measure,
    Pull,
    StoreHold,
    StoreSettings,
)
from orchestrator.images.layers import ImageSize
from orchestrator.images.node import Node, Wait
from orchestrator.images.pulls import PullFailure, PullProblem, Quota

ASK_QUOTA_EVERY_S = 120.0
"""While it is spent. The question counts as no pull."""
MEASURE_EVERY_S = 20.0
MAX_TRIES = 3
"""Failures of one image while its registry gives others: then the image itself is to blame."""
EVICTIONS_AT_ONCE = 4
"""On one node."""
MIN_AHEAD = 4
"""Images that a node of several has ready or on their way, at least."""


@dataclass
class Store:
    """See above. `wanted` maps images, in the order in which they are wanted, to instances that
    use them and are not over."""

    nodes: dict[str, Node]
    wanted: dict[str, set[str]]
    sizes: Mapping[str, ImageSize]
    """Of all images that are wanted or that the run has pulled."""
    registry_of: Callable[[str], str]
    settings: StoreSettings
    refused: dict[str, PullFailure] = field(default_factory=dict)
    """Images that can't be had: who uses one is let through, and says so on record."""
    _failures: Counter[str] = field(default_factory=Counter)
    """Of an image, while its registry gave others."""
    _last_given: Counter[str] = field(default_factory=Counter)
    """Images that each registry gave."""
    _given_before: dict[str, int] = field(default_factory=dict)
    """What its registry had given when an image last failed."""

    # what may be used

    def place(self, image: str, free: Mapping[str, int]) -> str | None:
        """The node where something that uses the image may start now, None: nowhere.

        `free` has each node's free slots. An image that is in no registry may be used anywhere.
        """
        known = image in self.refused or image not in self.sizes
        fit = [
            node
            for node in self.nodes.values()
            if free.get(node.name, 0) > 0
            and (known or (image in node.resident and image not in node.evicting))
            and node.low_since is None
        ]
        return max(fit, key=lambda node: free[node.name]).name if fit else None

    def pin(self, node: str, image: str) -> None:
        self.nodes[node].pins[image] += 1

    def unpin(self, node: str, image: str) -> None:
        if node in self.nodes:
            self.nodes[node].pins[image] -= 1

    def instance_over(self, instance_id: str) -> None:
        """It needs its image no more: it has its verdict, or nothing is tried again."""
        for users in self.wanted.values():
            users.discard(instance_id)
        for node in self.nodes.values():
            node.in_use.clear()

    # what happened

    def measured(self, node: str, room: int | None, now: float) -> None:
        """Bytes above the reserve; None where it could not be asked: what was known stays."""
        found = self.nodes[node]
        found.measuring, found.measured_at = False, now
        if room is None:
            return
        found.room, found.come_since = room, set(found.pulling)
        enough = self.settings.reserve // 10 if found.low_since is not None else 0
        if room >= enough:
            found.low_since = None
        elif found.low_since is None:
            found.low_since = now

    def progressed(self, node: str, image: str, compressed: int) -> None:
        """So many bytes of an image have come."""
        if image in self.nodes[node].pulling:
            self.nodes[node].pulling[image] = compressed

    def pulled(self, node: str, image: str, expanded: int, now: float) -> None:
        """It is there, and takes so many bytes, shared ones too."""
        found, registry = self.nodes[node], self.registry_of(image)
        found.pulling.pop(image, None)
        found.resident.add(image)
        found.come_since.add(image)
        found.gave(registry)
        self._last_given[registry] += 1
        if expanded > 0 and not self.sizes[image].estimated:
            found.compressed += self.sizes[image].bytes
            found.expanded += expanded

    def pull_failed(self, node: str, image: str, failure: PullFailure, now: float) -> None:
        found, registry = self.nodes[node], self.registry_of(image)
        found.pulling.pop(image, None)
        found.ours.discard(image)
        until = None if failure.retry_after_s is None else now + failure.retry_after_s
        match failure.problem:
            case PullProblem.REFUSED:
                self.refused[image] = failure
            case PullProblem.NO_ROOM:
                found.room = min(found.room or 0, 0)
                found.measured_at = float("-inf")
                found.failed("", failure.problem, failure.detail, now, until)
            case PullProblem.ENGINE:
                found.failed("", failure.problem, failure.detail, now, until)
            case PullProblem.QUOTA:
                quota = found.quotas.get(registry)
                if quota is not None:
                    found.quotas[registry] = Quota(quota.limit, 0, quota.window_s)
                found.failed(registry, failure.problem, failure.detail, now, until)
            case PullProblem.AWAY:
                given = self._last_given[registry]
                self._failures[image] += given > self._given_before.get(image, 0)
                self._given_before[image] = given
                if self._failures[image] >= MAX_TRIES:
                    self.refused[image] = failure
                else:
                    found.failed(registry, failure.problem, failure.detail, now, until)

    def evicted(self, node: str, image: str, gone: bool) -> None:
        """One that is not gone, as somebody uses it, is tried again when an instance is over."""
        found = self.nodes[node]
        found.evicting.discard(image)
        if gone:
            found.resident.discard(image)
            found.ours.discard(image)
            found.measured_at = float("-inf")
        else:
            found.in_use.add(image)

    def absent(self, node: str, image: str) -> None:
        """It was expected there, and somebody has removed it."""
        if node in self.nodes:
            self.nodes[node].resident.discard(image)

    def told_quota(self, node: str, registry: str, quota: Quota | None, now: float) -> None:
        """None where the registry has none, or does not say."""
        found = self.nodes[node]
        found.asking.discard(registry)
        found.asked_at[registry] = now
        if quota is None:
            found.quotas.pop(registry, None)
            return
        found.quotas[registry] = quota
        wait = found.waits.get(registry)
        if quota.remaining > 0 and wait is not None and wait.problem is PullProblem.QUOTA:
            found.waits.pop(registry)

    # what to do

    def decide(self, now: float) -> list[Decision]:
        """What is to be done now; each decision counts as begun."""
        return [decision for node in self._by_need() for decision in self._decide(node, now)]

    @property
    def is_busy(self) -> bool:
        """Something is under way."""
        return any(node.pulling or node.evicting for node in self.nodes.values())

    def hold(self, now: float) -> StoreHold | None:
        """Why nothing that waits gets its image; None where that goes on, or nothing waits."""
        low = [node for node in self.nodes.values() if node.low_since is not None]
        if low:
            text = f"{_disk_of(low[0])} has less free than its reserve: rollouts wait for room"
            return StoreHold(text, f"disk {low[0].low_since}")
        coming = any(node.pulling for node in self.nodes.values())
        missing = self._next()
        if coming or missing is None:
            return None
        for node in self.nodes.values():
            wait = node.waits.get("") or node.waits.get(self.registry_of(missing))
            if wait is not None and wait.until > now:
                return _hold_of(wait, self.registry_of(missing))
            quota = node.quotas.get(self.registry_of(missing))
            if quota is not None and quota.remaining <= 0:
                registry = self.registry_of(missing)
                asked = node.asked_at.get(registry, now)
                text = f"{registry} gives no more of {quota.limit} pulls in its window: images wait"
                return StoreHold(text, f"quota {registry}", asked + ASK_QUOTA_EVERY_S)
        return None

    def lacks_room(self, now: float) -> str:
        """Which image can come nowhere, though nothing is used and nothing is left to evict; empty
        where something still may be."""
        missing = self._next()
        if missing is None or self.is_busy:
            return ""
        for node in self.nodes.values():
            if any(node.pins.values()) or node.room is None:
                return ""
            if self._fits(node, missing) or list(self._may_go(node)):
                return ""
        return missing

    def _decide(self, node: Node, now: float) -> Iterator[Decision]:
        if not node.measuring and now - node.measured_at >= MEASURE_EVERY_S and self._uses_room:
            node.measuring = True
            yield Measure(node.name)
        yield from self._evict(node)
        if node.low_since is not None or node.room is None:
            return
        for image in self._missing():
            if len(node.pulling) >= self.settings.pulls_at_once or self._is_far_ahead(node):
                return
            registry = self.registry_of(image)
            if node.wait_for(registry, now) is not None or not self._allowed(node, registry):
                yield from self._ask(node, registry, now)
                continue
            if not self._fits(node, image):
                if node.resident & set(self._needed()) or node.pulling:
                    return  # what is here comes first, and makes room
                continue
            if registry in node.quotas:
                quota = node.quotas[registry]
                node.quotas[registry] = Quota(quota.limit, quota.remaining - 1, quota.window_s)
            node.pulling[image] = 0
            node.ours.add(image)
            node.come_since.add(image)
            yield Pull(node.name, image)

    def _evict(self, node: Node) -> Iterator[Evict]:
        if self.settings.keep is True:
            return
        going = list(self._may_go(node))
        if self.settings.keep is None and not self._is_short(node):
            return
        if not going and node.low_since is not None and not any(node.pins.values()):
            # nothing starts here, and nothing will end: what would be used last comes again later
            going = [image for image in self._needed() if image in node.resident & node.ours][-1:]
            going = [] if node.pulling or node.evicting else going
        at_once = 1 if self.settings.keep is None else EVICTIONS_AT_ONCE
        for image in going[: at_once - len(node.evicting)]:
            node.evicting.add(image)
            yield Evict(node.name, image)

    def _is_short(self, node: Node) -> bool:
        """Whether room must be made, by what is known at this moment."""
        if node.room is None or node.measuring or node.evicting:
            return False
        missing = self._next()
        return node.low_since is not None or (
            missing is not None and not node.pulling and not self._fits(node, missing)
        )

    def _may_go(self, node: Node) -> Iterator[str]:
        needed = set(self._needed())
        for image in sorted(node.resident & node.ours):
            if image not in needed | node.evicting | node.in_use and not node.pins[image]:
                yield image

    def _needed(self) -> Iterator[str]:
        """Images with an instance that is not over, in the order in which they are wanted."""
        return (image for image, users in self.wanted.items() if users)

    def _missing(self) -> Iterator[str]:
        """Those of them that are on no node, and on their way to none."""
        here = {
            image
            for node in self.nodes.values()
            for image in (*node.resident, *node.pulling, *node.evicting)
        }
        missing = [
            image
            for image in self._needed()
            if image in self.sizes and image not in here and image not in self.refused
        ]
        # one that failed lets others go first, to show whether it or its registry is to blame
        yield from sorted(missing, key=self._failed_last)

    def _failed_last(self, image: str) -> bool:
        given = self._last_given[self.registry_of(image)]
        return self._given_before.get(image) == given

    def _next(self) -> str | None:
        return next(self._missing(), None)

    @property
    def _uses_room(self) -> bool:
        return self._next() is not None or any(node.ours for node in self.nodes.values())

    def _fits(self, node: Node, image: str) -> bool:
        return node.cost(image, self.sizes) <= node.left(self.sizes, self.settings.budget)

    def _is_far_ahead(self, node: Node) -> bool:
        """Of several nodes, none takes what the others could do sooner."""
        if len(self.nodes) == 1:
            return False
        ready = sum(1 for image in node.resident & set(self._needed()) if not node.pins[image])
        return ready + len(node.pulling) >= max(MIN_AHEAD, node.slots)

    def _by_need(self) -> list[Node]:
        return sorted(self.nodes.values(), key=lambda n: (len(n.pulling), len(n.resident), n.name))

    def _allowed(self, node: Node, registry: str) -> bool:
        quota = node.quotas.get(registry)
        return registry in node.asked_at and (quota is None or quota.remaining > 0)

    def _ask(self, node: Node, registry: str, now: float) -> Iterator[AskQuota]:
        """Ask for the quota at first, and now and then while it is what is waited for."""
        asked_at = node.asked_at.get(registry)
        wait = node.waits.get(registry)
        if wait is not None and wait.problem is not PullProblem.QUOTA:
            return
        due = asked_at is None or now - asked_at >= ASK_QUOTA_EVERY_S
        if due and registry not in node.asking:
            node.asking.add(registry)
            yield AskQuota(node.name, registry)


def _disk_of(node: Node) -> str:
    return f"the images' disk of {node.name}" if node.name else "the images' disk"


def _hold_of(wait: Wait, registry: str) -> StoreHold:
    words = {
        PullProblem.QUOTA: f"{registry} gives no more images for now",
        PullProblem.AWAY: f"{registry} is away",
        PullProblem.ENGINE: "the engine takes no images",
        PullProblem.NO_ROOM: "the images' disk is full",
    }[wait.problem]
    return StoreHold(
        f"{words}: what waits for one is held ({wait.why})",
        f"{wait.problem} {registry} {wait.since}",
        wait.until,
    )
