"""What the loop needs of an executor, and what an executor reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orchestrator.backends import GradeRequest
from orchestrator.types import GradeResult, RolloutResult
from orchestrator.worker.messages import (
    ImageEvent,
    ImageGone,
    ImageRequest,
    Progress,
    RolloutRequest,
)


@dataclass(frozen=True)
class Remark:
    """Something that a person should know, in one line."""

    text: str


@dataclass(frozen=True)
class ModelStatus:
    """How the model serves just now, in one line."""

    text: str
    model: str = ""
    """Tells one model from the next where there are several."""


@dataclass(frozen=True)
class ImageStatus:
    """How the images come just now. Bytes are compressed, as they are sent."""

    pulling: int = 0
    """Images that are under way."""
    came: int = 0
    """Bytes of those."""
    total: int = 0
    is_estimated: bool = False
    """Whether the total is a guess."""
    bytes_per_s: float = 0.0
    ready: int = 0
    """Images that are there before they are used."""

    @property
    def left_s(self) -> float | None:
        """Until they are there; None where nothing comes."""
        return (self.total - self.came) / self.bytes_per_s if self.bytes_per_s else None


@dataclass(frozen=True)
class Notice:
    """Why nothing starts just now, for as long as that is so; without text all is well."""

    text: str = ""
    about: str = ""
    """What a log has one line about, however often the text changes; empty where remarks tell."""


Event = (
    Progress
    | RolloutResult
    | GradeResult
    | ImageGone
    | ImageEvent
    | Remark
    | ModelStatus
    | ImageStatus
)


@dataclass(frozen=True)
class NodeSlots:
    """A host that runs rollouts and grades, and how many at once."""

    name: str
    """In a Ray cluster; empty: the run's only host."""
    rollouts: int
    grades: int


class Executor(Protocol):
    """Runs rollouts and grades somewhere, and sees to images there.

    A rollout and a grade end in exactly one result, or in ImageGone; what is asked of images in
    exactly one event beside PullProgress.
    """

    def nodes(self) -> tuple[NodeSlots, ...]:
        """The hosts that are there now."""
        ...

    def submit_rollout(self, request: RolloutRequest) -> None: ...

    def submit_grade(self, request: GradeRequest) -> None: ...

    def submit_image_work(self, request: ImageRequest) -> None:
        """Where the host is in no cluster any more, nothing comes of it."""
        ...

    def poll(self, timeout_s: float) -> list[Event]:
        """What happened; waits up to `timeout_s` for something. A worker that died is a result
        with the failure worker_lost."""
        ...

    def stop_now(self) -> None:
        """Ask what runs to harvest and end; its results still come through `poll`."""
        ...

    def close(self) -> None:
        """Let go of the workers, also of busy ones."""
        ...
