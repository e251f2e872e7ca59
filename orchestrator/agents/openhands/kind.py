"""`openhands` as a run has it: its installation, and what is checked and held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator.agents.base import Say, SimpleKind
from orchestrator.agents.openhands import installation
from orchestrator.agents.openhands.settings import TEMPLATES, OpenHandsSettings
from orchestrator.agents.templates import require_jinja
from orchestrator.backends.host import Host
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import AgentCrashed

if TYPE_CHECKING:
    from orchestrator.agents.openhands.agent import OpenHandsAgent

VERSION = "openhands"
"""Among the versions of a lock.json."""


@dataclass(frozen=True)
class OpenHandsKind(SimpleKind[OpenHandsSettings]):
    """OpenHands, from an installation of its own, at the version that the run began with."""

    Settings: ClassVar[type[AgentSettings]] = OpenHandsSettings
    leaves_repository_alone: ClassVar[bool] = True

    @property
    def _version(self) -> str:
        return self.locked_versions.get(VERSION, "")

    @property
    def calls_functions(self) -> bool:
        return self.settings.protocol == "function_calling"

    def check(self, host: Host) -> None:
        require_jinja(self.settings, TEMPLATES)
        installation.require_installation(self._version)

    def versions(self) -> dict[str, str]:
        found = installation.find_installation()
        return {**found.versions, VERSION: found.version} if found else {}

    @contextmanager
    def hold(self, platform: str) -> Iterator[None]:
        """Keep the installation as it is, and start OpenHands' imports while Ray starts."""
        from orchestrator.agents.openhands.program import runner_program
        from orchestrator.agents.runners.process import warm_up

        with installation.hold_installation():
            # it may have been replaced since `check`
            found = installation.require_installation(self._version)
            with suppress(AgentCrashed):  # its rollouts will record that
                warm_up(runner_program(found))
            yield

    def create(self) -> OpenHandsAgent:
        from orchestrator.agents.openhands.agent import OpenHandsAgent

        return OpenHandsAgent(self.settings, self._version)

    @staticmethod
    def installed() -> dict[str, Any] | None:
        found = installation.find_installation()
        if found is None:
            return None
        return {
            "folder": str(found.root),
            "source": found.source,
            "version": found.version,
            "versions": found.versions,
        }

    @staticmethod
    def installed_line() -> str:
        found = installation.find_installation()
        if found is None:
            return f"OpenHands is not installed; `{installation.INSTALL}` does that."
        remark = "" if "constraints" in found.versions else ", with packages that were not tried"
        return f"OpenHands {found.version}, for sandboxes of any platform, in {found.root}{remark}"

    @staticmethod
    def install(source: str, ref: str, platform: str, say: Say, detail: Say) -> str:
        found = installation.install(ref, source, say, detail)
        return f"OpenHands {found.version} is in {found.root}"
