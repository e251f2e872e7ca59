"""What an agent is to a rollout: what works in a sandbox until it ends by its own doing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.budget import Budget
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.config.schema import Model as ModelConfig
from orchestrator.sandbox import Sandbox
from orchestrator.trajectory import Trajectory
from orchestrator.types import Instance, Outcome, SealedAnswer


@dataclass(frozen=True)
class AgentContext:
    """All that an agent is given."""

    instance: Instance
    sandbox: Sandbox
    budget: Budget
    config: AgentConfig
    model: ModelConfig | None
    base_url: str
    """The endpoint that answers for `model`; empty for agents that ask none."""
    api_key: str
    output_dir: Path
    """Files written here are kept in the rollout's folder, on every way out."""
    sealed_answer: SealedAnswer | None = None
    """Given to `gold` alone."""


class Agent(Protocol):
    """One way of solving an instance."""

    def run(self, context: AgentContext) -> Outcome:
        """Work until submission or a limit. The patch is not the agent's to deliver: the rollout
        harvests what changed in the sandbox.

        Raises:
            InfraError: the endpoint or the sandbox is gone; the rollout becomes a failure.
        """
        ...

    def trajectory(self, output_dir: Path) -> Trajectory:
        """Read what `run` left in `output_dir`, also after it was cut off."""
        ...
