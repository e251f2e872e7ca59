"""What passes between the driver and a worker while a rollout goes on."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.agents import AgentKind
from orchestrator.agents.steps import Step
from orchestrator.backends import Assignment
from orchestrator.types import RolloutKey


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
