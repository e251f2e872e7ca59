"""`nop` changes nothing: no instance of a sound benchmark resolves."""

from __future__ import annotations

from pathlib import Path

from orchestrator.agents.base import AgentContext, SimpleAgent
from orchestrator.agents.steps import Trajectory
from orchestrator.types import Outcome


class NopAgent(SimpleAgent):
    """Submits at once."""

    def run(self, context: AgentContext) -> Outcome:
        context.budget.begin_step()
        return Outcome.SUBMITTED

    def trajectory(self, output_dir: Path) -> Trajectory:
        return Trajectory(())
