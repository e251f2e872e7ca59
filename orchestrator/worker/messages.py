"""What passes between the driver and workers, beside the requests for grades and the results."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.agents import AgentKind
from orchestrator.agents.steps import Step
from orchestrator.backends import Assignment
from orchestrator.types import PulledImage, RolloutKey


@dataclass(frozen=True)
class RolloutRequest:
    """Everything that a worker needs for one rollout; it reads no other state."""

    assignment: Assignment
    agent: AgentKind
    base_url: str = ""
    """Where its agent finds the model; empty for agents that ask none."""
    api_key: str = ""

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


@dataclass(frozen=True)
class PullBegins:
    """A rollout or grade pulls an image which was not on its host."""

    image: PulledImage


@dataclass(frozen=True)
class EvictionRequest:
    """An image to remove from the host that it was pulled onto."""

    image: PulledImage
    backend: str
    """A kind of sandbox."""


@dataclass(frozen=True)
class Eviction:
    """What came of an `EvictionRequest`."""

    image: PulledImage
    gone: bool
