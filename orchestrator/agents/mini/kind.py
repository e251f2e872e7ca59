"""`mini` as a run has it: what is checked before the night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from orchestrator.agents.base import SimpleKind, tools_mount
from orchestrator.agents.templates import TemplateSettings, require_templates
from orchestrator.backends.host import Host
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.agents.mini.agent import MiniAgent

BUNDLES = {"edit"}


@dataclass(frozen=True)
class MiniKind(SimpleKind[TemplateSettings]):
    """mini-swe-agent, a library of our own environment."""

    Settings: ClassVar[type[AgentSettings]] = TemplateSettings
    leaves_repository_alone: ClassVar[bool] = True

    def check(self, host: Host) -> None:
        require_templates(self.settings)
        if not set(self.settings.bundles) <= BUNDLES:
            raise ConfigError("agent.bundles: mini knows only `edit`")
        if self.settings.bundles:
            tools_mount()

    def create(self) -> MiniAgent:
        from orchestrator.agents.mini.agent import MiniAgent

        return MiniAgent(self.settings)
