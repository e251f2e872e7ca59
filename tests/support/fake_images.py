"""A node's images without an engine: what is asked of them comes to what the script says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.images.pulls import PullFailure, PullProblem, Quota
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    ImageEvent,
    ImageRequest,
    ImagesSeen,
    LookRequest,
    PullEnded,
    PullProgress,
    PullRequest,
    QuotaFound,
    QuotaRequest,
    RoomFound,
    RoomRequest,
)

IMAGE_GB = 1.0
"""What each takes, of a disk on which nothing is shared."""


@dataclass
class FakeImages:
    """What is asked for is there one turn later, if it fits; `holding` keeps pulls under way."""

    disk_gb: float = 100.0
    present: set[str] = field(default_factory=set)
    failures: dict[str, list[PullFailure]] = field(default_factory=dict)
    """What the next pulls of an image come to, by its name; then it comes."""
    in_use: set[str] = field(default_factory=set)
    """Can't be evicted."""
    quota: Quota | None = None
    knows: bool = True
    """Whether it can say what is there and what is free."""
    holding: bool = False
    on_pull: Callable[[PullRequest], None] = lambda request: None
    pulls: list[str] = field(default_factory=list)
    evictions: list[str] = field(default_factory=list)
    requests: list[ImageRequest] = field(default_factory=list)
    most_evictions: int = 0
    """At once."""
    most_gb: float = 0.0
    _pulling: list[PullRequest] = field(default_factory=list)
    _evicting: list[EvictionRequest] = field(default_factory=list)

    @property
    def free_gb(self) -> float:
        return self.disk_gb - IMAGE_GB * len(self.present)

    def do(self, request: ImageRequest) -> list[ImageEvent]:
        """What is known of it at once."""
        self.requests.append(request)
        match request:
            case PullRequest(image=image):
                self.pulls.append(image.name)
                self.on_pull(request)
                self._pulling.append(request)
                return [PullProgress(image, 1)]
            case EvictionRequest(image=image):
                self.evictions.append(image.name)
                self._evicting.append(request)
                self.most_evictions = max(self.most_evictions, len(self._evicting))
                return []
            case RoomRequest(node=node):
                return [RoomFound(node, self.free_gb if self.knows else None)]
            case QuotaRequest(node=node, registry=registry):
                return [QuotaFound(node, registry, self.quota)]
            case LookRequest(node=node, instances=instances):
                names = {instance.image for instance in instances}
                return [ImagesSeen(node, frozenset(names - self.present) if self.knows else None)]

    def go_on(self) -> list[ImageEvent]:
        """What has ended meanwhile."""
        events: list[ImageEvent] = []
        for eviction in self._evicting:
            gone = eviction.image.name not in self.in_use
            events.append(Eviction(eviction.image, gone))
            self.present -= {eviction.image.name} if gone else set()
        self._evicting.clear()
        if not self.holding:
            events += map(self._pulled, self._pulling)
            self._pulling.clear()
        return events

    def _pulled(self, request: PullRequest) -> PullEnded:
        name = request.image.name
        if failures := self.failures.get(name):
            return PullEnded(request.image, failures.pop(0))
        if self.free_gb < IMAGE_GB:
            return PullEnded(request.image, PullFailure(PullProblem.NO_ROOM, "no space left"))
        was_there = name in self.present
        self.present.add(name)
        self.most_gb = max(self.most_gb, IMAGE_GB * len(self.present))
        return PullEnded(
            request.image, expanded=round(IMAGE_GB * 1e9), digest="d", was_there=was_there
        )
