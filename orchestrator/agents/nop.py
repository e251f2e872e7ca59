"""`nop` changes nothing: no instance of a sound benchmark resolves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from orchestrator.agents.base import SimpleAgent, SimpleKind
from orchestrator.config.schema import AgentSettings
from orchestrator.types import Outcome

if TYPE_CHECKING:
    from orchestrator.agents.context import AgentContext


class NopAgent(SimpleAgent):
    """Submits at once."""

    def run(self, context: AgentContext) -> Outcome:
        context.begin_step()
        return Outcome.SUBMITTED


@dataclass(frozen=True)
class NopKind(SimpleKind[AgentSettings]):
    """Has nothing to set."""

    Settings: ClassVar[type[AgentSettings]] = AgentSettings
    asks_model: ClassVar[bool] = False

    def create(self) -> NopAgent:
        return NopAgent()
