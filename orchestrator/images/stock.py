"""What is where, what is wanted, what fits and what may go: what the store decides by. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.images.decisions import StoreSettings
from orchestrator.images.layers import ImageSize
from orchestrator.images.node import Node
from orchestrator.images.pulls import PullFailure

MAX_TRIES = 3
"""Failures of one image while its registry gives others: then the image itself is to blame. Also
how often one is pulled for which there seems to be no room."""
MIN_AHEAD = 4
"""Images that a node has ready or on their way, at least, where they are not to be all there are:
on one node of several, and where nobody can tell what room there is."""


@dataclass
class Stock:
    """All nodes of a session. `wanted` maps images, in the order in which they are wanted, to their
    users: instances of runs that are not over."""

    nodes: dict[str, Node]
    wanted: dict[str, set[str]]
    sizes: Mapping[str, ImageSize]
    """Of all images that are wanted or that the run has pulled."""
    registry_of: Callable[[str], str]
    settings: StoreSettings
    refused: dict[str, PullFailure] = field(default_factory=dict)
    """Images that can't be had: who uses one is let through, and says so on record."""
    held_back: frozenset[str] = frozenset()
    """Users that can't start for now while others can, as the model that they ask is away. An image
    for them alone does not come, and goes where room is short: else the others would wait too."""
    _failures: Counter[str] = field(default_factory=Counter)
    """Of an image, while its registry gave others."""
    _last_given: Counter[str] = field(default_factory=Counter)
    """Images that each registry gave."""
    _given_before: dict[str, int] = field(default_factory=dict)
    """What its registry had given when an image last failed."""

    def _needed(self) -> Iterator[str]:
        """Images with a user that is not over nor held back, in the order in which they are
        wanted."""
        return (image for image, users in self.wanted.items() if not users <= self.held_back)

    def _missing(self) -> list[str]:
        """Those of them that are on no node where they can be used, and on their way to none."""
        here: set[str] = set()
        for node in self.nodes.values():
            here.update(node.pulling, node.evicting)
            is_stuck = node.low_since is not None and self._is_stuck(node)
            here.update(() if is_stuck else node.resident)
        missing = [
            image
            for image in self._needed()
            if image not in here and image in self.sizes and image not in self.refused
        ]
        # one that failed lets others go first, to show whether it or its registry is to blame
        return sorted(missing, key=self._failed_last) if self._given_before else missing

    def _failed_last(self, image: str) -> bool:
        given = self._last_given[self.registry_of(image)]
        return self._given_before.get(image) == given

    def _is_stuck(self, node: Node) -> bool:
        """Under its reserve, with nothing that could make room."""
        waits = node.ours & node.resident - node.in_use if self.settings.keep is not True else ()
        return not (waits or node.runs or node.pulling or node.evicting)

    def _ready(self, node: Node) -> bool:
        """Something may start there whose image is there."""
        return node.low_since is None and any(
            node.pins[image] < len(self.wanted.get(image, set()) - self.held_back)
            for image in node.resident - node.evicting
        )

    def _evictable(self, node: Node) -> list[str]:
        return [] if self.settings.keep is True else self._may_go(node, with_held_back=True)

    def _may_go(self, node: Node, *, with_held_back: bool = False) -> list[str]:
        """What the runs have pulled, and nobody needs or uses; those who are held back need it,
        unless said otherwise."""
        going = (node.resident & node.ours) - node.evicting - node.in_use
        going = {image for image in going if not node.pins[image]}
        if going and not with_held_back:
            going.difference_update(image for image, users in self.wanted.items() if users)
        return sorted(going.difference(self._needed())) if going else []

    def _left(self, node: Node) -> int:
        return node.left(self.sizes, self.settings.budget)

    def _fits(self, node: Node, image: str) -> bool:
        return node.fits(image, self.sizes, self._left(node))

    def _could_hold(self, node: Node, image: str) -> bool:
        """Whether it would fit if all that the run has there were gone."""
        if node.low_since is not None and self._is_stuck(node):
            return False
        theirs = set() if self.settings.keep is True else node.ours & node.resident
        return node.fits(image, self.sizes, self._left(node) + node.freed(theirs, self.sizes))

    def _may_be_tried(self, node: Node, image: str) -> bool:
        """Whether one that is not expected to fit may, as what it takes is a guess."""
        left = node.left(self.sizes, None)
        if left <= 0 or node.tried_in_vain[image] >= MAX_TRIES:
            return False
        if self.settings.budget is not None and node.ours & node.resident:
            return False
        return self.sizes[image].estimated or node.transfer(image, self.sizes) <= left

    def _is_at_rest(self, node: Node) -> bool:
        """Nothing is used there or under way, and nothing waits for its turn or may go."""
        is_idle = not (node.runs or node.pulling or node.evicting)
        is_idle = is_idle and node.is_measured and node.low_since is None
        return is_idle and not self._ready(node) and not self._evictable(node)

    def _is_far_ahead(self, node: Node) -> bool:
        """Of several nodes, none takes what the others could do sooner; and none is filled up whose
        room nobody can tell."""
        if len(self.nodes) == 1 and node.room is not None:
            return False
        ready = sum(1 for image in node.resident & set(self._needed()) if not node.pins[image])
        return ready + len(node.pulling) >= max(MIN_AHEAD, node.slots)

    def _gives(self, node: Node, registry: str, now: float) -> bool:
        """Whether a pull from the registry may begin now."""
        probed = any(self.registry_of(image) == registry for image in node.pulling)
        if registry not in node.asked_at or node.wait_for(registry, now, probed) is not None:
            return False
        quota = node.quotas.get(registry)
        return quota is None or quota.remaining > 0
