"""What an agent is to a rollout: what works in a sandbox until it ends by its own doing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.agents.budget import Budget
from orchestrator.agents.steps import Trajectory
from orchestrator.backends import Sandbox
from orchestrator.types import Instance, Outcome, SealedAnswer

TOOLS_PATH = "/opt/swe-orchestrator/tools"
"""Where our own tools are, in sandboxes whose agent asked for TOOLS_MOUNT."""
TOOLS_MOUNT = f"{Path(__file__).parent / 'tools'}:{TOOLS_PATH}:ro"


@dataclass(frozen=True)
class AgentContext:
    """All that an agent is given."""

    instance: Instance
    sandbox: Sandbox
    base_tree: str
    """Of git: the repository as the agent finds it. A patch is the difference from it."""
    budget: Budget
    base_url: str
    """The endpoint that answers for the run's model; empty for agents that ask none."""
    api_key: str
    output_dir: Path
    """Files written here are kept in the rollout's folder, on every way out."""
    sealed_answer: SealedAnswer | None = None
    """Given to `gold` alone."""


class Agent(Protocol):
    """One way of solving an instance. Made for one rollout."""

    def prepare(self, platform: str) -> tuple[str, ...]:
        """Before the sandbox: start what can start meanwhile, and name what it must hold, as
        host_path:sandbox_path:ro. `platform` is the sandbox's, such as linux/amd64.

        Raises:
            InfraError: what the agent needs is not on this host.
        """
        ...

    def run(self, context: AgentContext) -> Outcome:
        """Work until submission or a limit. The patch is not the agent's to deliver: the rollout
        harvests what changed in the sandbox.

        Raises:
            InfraError: the endpoint or the sandbox is gone; the rollout becomes a failure.
        """
        ...

    def close(self) -> None:
        """The rollout is over, or does not wait for `run` any longer: let go of the sandbox, and of
        what `prepare` started. Safe to call twice; never raises."""
        ...

    def last_patch(self, output_dir: Path) -> str:
        """The patch as the agent last saw it, for when its sandbox is gone; empty if unknown."""
        ...

    def trajectory(self, output_dir: Path) -> Trajectory:
        """Read what `run` left in `output_dir`, also after it was cut off."""
        ...


class SimpleAgent:
    """What an agent is that needs nothing but its sandbox."""

    def prepare(self, platform: str) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """It works in the rollout's own process, and ends with its sandbox."""

    def last_patch(self, output_dir: Path) -> str:
        return ""
