"""What the image store decides, why it holds work back, and what it is told to keep to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from orchestrator.config.cluster import Images
from orchestrator.config.sections import AUTO


@dataclass(frozen=True)
class Pull:
    node: str
    image: str


@dataclass(frozen=True)
class Evict:
    node: str
    image: str


@dataclass(frozen=True)
class MeasureRoom:
    """How much room is left on the node's disk?"""

    node: str


@dataclass(frozen=True)
class AskQuota:
    node: str
    registry: str


Decision = Pull | Evict | MeasureRoom | AskQuota


@dataclass(frozen=True)
class StoreHold:
    """Why work waits for images."""

    text: str
    about: str
    """Tells one hold from the next, however its text changes."""
    until: float | None = None
    """When it ends at the earliest, where that is known."""


@dataclass(frozen=True)
class StoreSettings:
    reserve: int
    """Bytes of the engine's disk that stay free; the store is told of the room above it."""
    budget: int | None = None
    """Bytes that the run's images may take at once; None: all the room there is."""
    keep: bool | None = None
    """True: nothing goes; False: each image as soon as it may; None: when room is short."""
    pulls_at_once: int = 2
    """On one node."""

    @classmethod
    def of(cls, images: Images) -> Self:
        """As a cluster's section says it, in GB."""
        return cls(
            reserve=round(images.reserve_gb * 1e9),
            budget=None if images.budget_gb is None else round(images.budget_gb * 1e9),
            keep=None if images.keep == AUTO else bool(images.keep),
            pulls_at_once=images.pulls,
        )
