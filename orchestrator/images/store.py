"""The image store: which images come next onto a node, which may be used there, and which go. Pure.

It does nothing itself: `decide` says what to do now, and the other methods take in how that went.
One store knows all nodes of a run, as each image goes to one of them. Its aims, in their order:

1. An image that is used, or that has a user which is not over, stays. Only where a node has less
   free than its reserve, nothing runs there, and nothing else may go, does one that waits go; and
   where room is short, one whose users are all held back.
2. Only images that the run has pulled are ever removed.
3. A node's disk keeps its reserve: under it nothing starts there, and what can go goes.
4. Images come in the order in which they are wanted, as far ahead as the room goes: where pulls are
   rationed, none of the ration is left unused.
5. What an image costs is a guess until it is there: one that is not expected to fit is tried all
   the same when nothing else is left to do, and one that did not fit is not tried again in the
   same room.
6. What waiting mends (a registry that is away, a quota that is spent, a full disk) is waited for,
   and costs no instance anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.images.decisions import (
    AskQuota,
    Decision,
    Evict,
    MeasureRoom,
    Pull,
    StoreHold,
)
from orchestrator.images.holds import (
    ask_every_s,
    low_disk,
    no_room,
    nothing_given,
    quota_spent,
)
from orchestrator.images.node import Node
from orchestrator.images.pulls import PullFailure, PullProblem, Quota
from orchestrator.images.stock import MAX_TRIES, Stock

MEASURE_EVERY_S = 20.0
MEASURE_SOON_S = 1.0
"""Where an image does not fit beside what has come since, of which only a guess is known."""
EVICTIONS_AT_ONCE = 4
"""On one node."""


class Store(Stock):
    """See above. News of a node that is not there any more are ignored."""

    # what may be used

    def place(self, image: str, free: Mapping[str, int], *, makes_room: bool = False) -> str | None:
        """The node where something that uses the image may start now, None: nowhere.

        `free` has each node's free slots. An image that is in no registry may be used anywhere.
        What makes room when it is over, as a grade does, may start under the reserve too.
        """
        known = image in self.refused or image not in self.sizes
        fit = [
            node
            for node in self.nodes.values()
            if free.get(node.name, 0) > 0
            and (known or (image in node.resident and image not in node.evicting))
            and (node.low_since is None or makes_room)
        ]
        return max(fit, key=lambda node: free[node.name]).name if fit else None

    def pin(self, node: str, image: str) -> None:
        if node in self.nodes:
            self.nodes[node].pins[image] += 1

    def unpin(self, node: str, image: str) -> None:
        if node in self.nodes and self.nodes[node].pins[image] > 0:
            self.nodes[node].pins[image] -= 1

    def instance_over(self, user: str) -> None:
        """It needs its image no more: it has its verdict, or nothing is tried again."""
        for users in self.wanted.values():
            users.discard(user)
        for node in self.nodes.values():
            node.in_use.clear()

    # what happened

    def measured(self, node: str, room: int | None, now: float) -> None:
        """Bytes above the reserve; None where it could not be asked: what was known stays."""
        found = self.nodes.get(node)
        if found is None:
            return
        found.measuring, found.measured_at = False, now
        found.in_use.clear()
        if room is None:
            return
        found.room, found.come_since = room, set(found.pulling)
        enough = 0
        if found.low_since is not None and (found.runs or self._may_go(found)):
            enough = self.settings.reserve // 10
        if room >= enough:
            found.low_since = None
        elif found.low_since is None:
            found.low_since = now

    def progressed(self, node: str, image: str, compressed: int) -> None:
        """So many bytes of an image have come."""
        if node in self.nodes and image in self.nodes[node].pulling:
            self.nodes[node].pulling[image] = compressed

    def pulled(self, node: str, image: str, expanded: int, now: float) -> None:
        """It is there, and takes so many bytes, shared ones too."""
        found, registry = self.nodes.get(node), self.registry_of(image)
        if found is None:
            return
        found.pulling.pop(image, None)
        found.resident.add(image)
        found.come_since.add(image)
        found.gave(registry)
        self._last_given[registry] += 1
        if expanded > 0 and image in self.sizes:
            found.compressed += self.sizes[image].bytes
            found.expanded += expanded

    def pull_failed(self, node: str, image: str, failure: PullFailure, now: float) -> None:
        found, registry = self.nodes.get(node), self.registry_of(image)
        if found is None:
            return
        found.pulling.pop(image, None)
        found.ours.discard(image)
        found.come_since.discard(image)
        match failure.problem:
            case PullProblem.REFUSED:
                self.refused[image] = failure
            case PullProblem.NO_ROOM:
                found.lacked_room(image)
                found.room = min(found.room or 0, 0)
                found.measured_at = float("-inf")
                found.failed("", failure, now)
            case PullProblem.ENGINE:
                found.failed("", failure, now)
            case PullProblem.QUOTA:
                quota = found.quotas.get(registry)
                if quota is not None:
                    found.quotas[registry] = Quota(quota.limit, 0, quota.window_s)
                found.failed(registry, failure, now, failure.retry_after_s)
            case PullProblem.AWAY:
                given = self._last_given[registry]
                self._failures[image] += given > self._given_before.get(image, 0)
                self._given_before[image] = given
                if self._failures[image] >= MAX_TRIES:
                    self.refused[image] = failure
                else:
                    found.failed(registry, failure, now, failure.retry_after_s)

    def evicted(self, node: str, image: str, gone: bool) -> None:
        """One that is not gone, as somebody uses it, is tried again a little later."""
        found = self.nodes.get(node)
        if found is None:
            return
        found.evicting.discard(image)
        if not gone:
            found.in_use.add(image)
            return
        if found.room is not None:  # until it is measured
            found.room += found.freed([image], self.sizes)
        found.resident.discard(image)
        found.ours.discard(image)
        found.come_since.discard(image)
        found.measured_at = float("-inf")

    def absent(self, node: str, image: str) -> None:
        """It was expected there, and somebody has removed it."""
        if node in self.nodes:
            self.nodes[node].resident.discard(image)
            self.nodes[node].ours.discard(image)

    def told_quota(self, node: str, registry: str, quota: Quota | None, now: float) -> None:
        """None where the registry has none, or does not say."""
        found = self.nodes.get(node)
        if found is None:
            return
        found.asking.discard(registry)
        found.asked_at[registry] = now
        if quota is None:
            found.quotas.pop(registry, None)
            return
        found.quotas[registry] = quota
        wait = found.waits.get(registry)
        is_of_quota = wait is not None and wait.problem is PullProblem.QUOTA and not wait.is_asked
        if quota.remaining > 0 and is_of_quota:
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
        nodes = list(self.nodes.values())
        low = [node for node in nodes if node.low_since is not None]
        if low and len(low) == len(nodes):
            return low_disk(low[0]) if any(True for _ in self._needed()) else None
        missing = self._missing()
        if not missing or any(node.pulling or self._ready(node) for node in nodes):
            return None
        registry = self.registry_of(missing[0])
        for node in nodes:
            wait = node.waits.get("") or node.waits.get(registry)
            if wait is not None and wait.until > now:
                return nothing_given(wait, registry)
            quota = node.quotas.get(registry)
            if quota is not None and quota.remaining <= 0:
                return quota_spent(node, registry, quota, now)
        full = [node for node in nodes if node.is_measured and not self._fits(node, missing[0])]
        return no_room(full[0]) if full and len(full) == len(nodes) else None

    def lacks_room(self, now: float) -> str:
        """Which image can come nowhere, though nothing is used and nothing is left to evict; empty
        where something still may be done."""
        missing = self._missing()
        if not missing or self.is_busy:
            return ""
        for node in self.nodes.values():
            if not node.is_measured or node.runs or node.in_use or self._ready(node):
                return ""
            if self._evictable(node):
                return ""
            if node.low_since is None and any(
                self._fits(node, image) or self._may_be_tried(node, image) for image in missing
            ):
                return ""
        return missing[0]

    def _decide(self, node: Node, now: float) -> Iterator[Decision]:
        missing = self._missing()
        uses_room = bool(missing or node.ours or node.low_since is not None)
        came = node.come_since - node.pulling.keys()
        is_short = bool(came and missing) and not self._fits(node, missing[0])
        every_s = MEASURE_SOON_S if is_short else MEASURE_EVERY_S
        if uses_room and not node.measuring and now - node.measured_at >= every_s:
            node.measuring = True
            yield MeasureRoom(node.name)
        yield from self._evict(node, now)
        if node.low_since is not None or (node.measured_at == float("-inf") and node.room is None):
            return
        silent: set[str] = set()
        for image in missing:
            if len(node.pulling) >= self.settings.pulls_at_once or self._is_far_ahead(node):
                return
            registry = self.registry_of(image)
            if registry in silent:
                continue
            if not self._gives(node, registry, now):
                silent.add(registry)
                yield from self._ask(node, registry, now)
                continue
            if not self._fits(node, image):
                if self._could_hold(node, image) and (node.pulling or self._ready(node)):
                    return  # what is here comes first, and makes room
                continue
            node.begin(image, registry, self._left(node), now)
            yield Pull(node.name, image)
        if self._is_at_rest(node):
            yield from self._try(node, missing, now)

    def _try(self, node: Node, missing: Sequence[str], now: float) -> Iterator[Pull]:
        """Pull one that is not expected to fit here, nor on another node."""
        for image in missing:
            registry = self.registry_of(image)
            others = [other for other in self.nodes.values() if other is not node]
            if any(self._could_hold(other, image) for other in others):
                continue
            if self._gives(node, registry, now) and self._may_be_tried(node, image):
                left = node.left(self.sizes, None)
                node.begin(image, registry, left, now)
                node.tried.add(image)
                yield Pull(node.name, image)
                return

    def _evict(self, node: Node, now: float) -> Iterator[Evict]:
        going: Sequence[str] = [] if self.settings.keep is True else self._may_go(node)
        at_once = EVICTIONS_AT_ONCE
        if self.settings.keep is None:
            at_once, going = 1, self._for_room(node, going, now)
        if self.held_back and not going:
            at_once, going = 1, self._for_room(node, self._evictable(node), now)
        if self.settings.keep is not True and not going:
            at_once, going = 1, self._last_waiting(node)
        for image in going[: max(0, at_once - len(node.evicting))]:
            node.evicting.add(image)
            yield Evict(node.name, image)

    def _for_room(self, node: Node, going: Sequence[str], now: float) -> Sequence[str]:
        """Of what may go: what makes the room that is short at this moment, and little more."""
        if not going or node.evicting or not node.is_measured or node.room is None:
            return ()
        more = 0
        if node.low_since is None:
            image = None if node.pulling or self._is_far_ahead(node) else self._next(node, now)
            if image is None or any(self._fits(other, image) for other in self.nodes.values()):
                return ()
            needs = max(node.cost(image, self.sizes), node.not_enough.get(image, 0) + 1)
            more = needs - self._left(node)
            is_in_vain = node.freed(going, self.sizes) < more
            if is_in_vain and (node.runs or self._ready(node)):
                return ()  # what is used makes more, later
        freed = node.freed_by_each(going, self.sizes)
        enough = [image for image in going if freed[image] >= more > 0]
        if enough:
            return [min(enough, key=lambda image: freed[image])]
        return [max(going, key=lambda image: freed[image])]

    def _next(self, node: Node, now: float) -> str | None:
        """The first that is missing and could be pulled now."""
        gives: dict[str, bool] = {}
        for image in self._missing():
            registry = self.registry_of(image)
            if registry not in gives:
                gives[registry] = self._gives(node, registry, now)
            if gives[registry]:
                return image
        return None

    def _last_waiting(self, node: Node) -> Sequence[str]:
        """Under the reserve, where nothing starts and nothing will end: what would be used last.
        It comes again when there is more room than it came with."""
        if node.low_since is None or node.runs or node.pulling or node.evicting:
            return ()
        if not node.is_measured or self._evictable(node):
            return ()
        ours = (node.resident & node.ours) - node.in_use
        last = [image for image in self._needed() if image in ours][-1:]
        for image in last:
            node.lacked_room(image)
        return last

    def _by_need(self) -> Iterable[Node]:
        return sorted(self.nodes.values(), key=lambda n: (len(n.pulling), len(n.resident), n.name))

    def _ask(self, node: Node, registry: str, now: float) -> Iterator[AskQuota]:
        """Ask for the quota at first, and now and then while it is what is waited for."""
        asked_at, wait = node.asked_at.get(registry), node.waits.get(registry)
        quota = node.quotas.get(registry)
        is_spent = quota is not None and quota.remaining <= 0
        is_refused = wait is not None and wait.problem is PullProblem.QUOTA
        is_waited_for = is_spent or is_refused
        due = asked_at is None or (is_waited_for and now - asked_at >= ask_every_s(quota))
        if due and registry not in node.asking:
            node.asking.add(registry)
            yield AskQuota(node.name, registry)
