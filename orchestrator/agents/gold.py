"""`gold` applies the reference patch: every instance of a sound benchmark and set-up resolves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from orchestrator.agents.base import SimpleAgent, SimpleKind
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import AgentCrashed
from orchestrator.gold_answers import unseal
from orchestrator.types import Outcome

if TYPE_CHECKING:
    from orchestrator.agents.context import AgentContext

PATCH_FILE = ".orchestrator-gold.patch"


class GoldAgent(SimpleAgent):
    """Applies the gold patch and submits."""

    def run(self, context: AgentContext) -> Outcome:
        assert context.sealed_answer is not None, "gold is given the answer"
        context.begin_step()
        patch = unseal(context.sealed_answer).gold_patch
        context.sandbox.write_file(PATCH_FILE, patch.encode("utf-8"))
        result = context.sandbox.exec(
            f"git apply --verbose {PATCH_FILE}; code=$?; rm -f {PATCH_FILE}; exit $code",
            context.command_timeout_s(),
        )
        if result.exit_code != 0:
            raise AgentCrashed(f"the gold patch does not apply: {result.text.strip()[-300:]}")
        return Outcome.SUBMITTED


@dataclass(frozen=True)
class GoldKind(SimpleKind[AgentSettings]):
    """Has nothing to set. The only one that is given the answer."""

    Settings: ClassVar[type[AgentSettings]] = AgentSettings
    asks_model: ClassVar[bool] = False
    needs_gold_patch: ClassVar[bool] = True

    def create(self) -> GoldAgent:
        return GoldAgent()
