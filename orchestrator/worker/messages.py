"""What passes between the driver and workers, beside the requests for grades and the results."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.agents import AgentKind
from orchestrator.agents.steps import Step
from orchestrator.backends import Assignment
from orchestrator.config.cluster import Cluster
from orchestrator.images.pulls import PullFailure, Quota
from orchestrator.types import Instance, PulledImage, RolloutKey


@dataclass(frozen=True)
class RolloutRequest:
    """Everything that a worker needs for one rollout; it reads no other state."""

    assignment: Assignment
    agent: AgentKind
    base_url: str = ""
    """Where its agent finds the model; empty for agents that ask none."""
    api_key: str = ""
    alone: bool = False
    """In a process of its own."""

    @property
    def key(self) -> RolloutKey:
        return self.assignment.key


@dataclass(frozen=True)
class Progress:
    """What a rollout is doing, for the display."""

    key: RolloutKey
    phase: str
    steps: int = 0
    activity: str = ""
    new_steps: tuple[Step, ...] = ()
    """What the agent did since the last Progress; empty without `rollout.show_steps`."""
    steps_sent: int = 0
    """How many steps this and earlier ones have brought."""
    broken_calls: int = 0
    """Of functions, so far."""


@dataclass(frozen=True)
class ImageGone:
    """What a rollout or grade ends in whose image was there, and is not any more: nothing was
    tried."""

    key: RolloutKey


@dataclass(frozen=True)
class PullRequest:
    """An image to pull onto a node, ahead of who uses it."""

    image: PulledImage
    instance: Instance
    """One that uses it."""
    backend: str
    """A kind of sandbox."""
    cluster: Cluster

    @property
    def node(self) -> str:
        return self.image.node


@dataclass(frozen=True)
class PullProgress:
    image: PulledImage
    compressed: int
    """Bytes that have come so far."""

    @property
    def node(self) -> str:
        return self.image.node


@dataclass(frozen=True)
class PullEnded:
    """What came of a `PullRequest`."""

    image: PulledImage
    failure: PullFailure | None = None
    expanded: int = 0
    """Bytes that the image takes on the engine's disk, shared ones too."""
    digest: str = ""
    """Of its manifest, as the registry gave it."""
    was_there: bool = False
    """Before it was asked for: somebody else brought it."""

    @property
    def node(self) -> str:
        return self.image.node


@dataclass(frozen=True)
class RoomRequest:
    """How much is free on the disk of a node's images?"""

    node: str
    backend: str
    cluster: Cluster


@dataclass(frozen=True)
class RoomFound:
    node: str
    free_gb: float | None
    """None where nobody could say."""


@dataclass(frozen=True)
class QuotaRequest:
    """What does a registry still allow a node? The question costs no pull."""

    node: str
    registry: str
    backend: str


@dataclass(frozen=True)
class QuotaFound:
    node: str
    registry: str
    quota: Quota | None


@dataclass(frozen=True)
class EvictionRequest:
    """An image to remove from the host that it was pulled onto."""

    image: PulledImage
    backend: str
    """A kind of sandbox."""

    @property
    def node(self) -> str:
        return self.image.node


@dataclass(frozen=True)
class Eviction:
    """What came of an `EvictionRequest`."""

    image: PulledImage
    gone: bool

    @property
    def node(self) -> str:
        return self.image.node


@dataclass(frozen=True)
class LookRequest:
    """Which images are not on a node?"""

    node: str
    backend: str
    platform: str
    instances: tuple[Instance, ...]
    """Those whose images are asked for."""


@dataclass(frozen=True)
class ImagesSeen:
    node: str
    missing: frozenset[str] | None
    """Names of those that are not there; None where nobody could say."""


ImageRequest = PullRequest | EvictionRequest | RoomRequest | QuotaRequest | LookRequest
ImageEvent = PullProgress | PullEnded | Eviction | RoomFound | QuotaFound | ImagesSeen
"""What comes of an `ImageRequest`. All but PullProgress is its end."""
