"""`gold` applies the reference patch: every instance of a sound benchmark and set-up resolves."""

from __future__ import annotations

from pathlib import Path

from orchestrator.agents.base import AgentContext, SimpleAgent
from orchestrator.agents.steps import Trajectory
from orchestrator.answers import unseal
from orchestrator.errors import AgentCrashed
from orchestrator.types import Outcome

PATCH_FILE = ".orchestrator-gold.patch"


class GoldAgent(SimpleAgent):
    """Applies the gold patch and submits."""

    def run(self, context: AgentContext) -> Outcome:
        assert context.sealed_answer is not None, "gold is given the answer"
        context.budget.begin_step()
        patch = unseal(context.sealed_answer).gold_patch
        context.sandbox.write_file(PATCH_FILE, patch.encode("utf-8"))
        result = context.sandbox.exec(
            f"git apply --verbose {PATCH_FILE}; code=$?; rm -f {PATCH_FILE}; exit $code",
            context.budget.command_timeout_s(),
        )
        if result.exit_code != 0:
            raise AgentCrashed(f"the gold patch does not apply: {result.text.strip()[-300:]}")
        return Outcome.SUBMITTED

    def trajectory(self, output_dir: Path) -> Trajectory:
        return Trajectory(())
