"""`openhands` as a run has it: its installation, and what is checked and held."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.agents.base import Say, SimpleKind
from orchestrator.agents.openhands import installation
from orchestrator.backends.host import Host
from orchestrator.config.schema import AgentSettings

VERSION = "openhands"
"""Among the versions of a lock.json."""


@dataclass(frozen=True)
class OpenHandsKind(SimpleKind[AgentSettings]):
    """OpenHands, from an installation of its own, at the version that the run began with."""

    Settings: ClassVar[type[AgentSettings]] = AgentSettings

    @property
    def _version(self) -> str:
        return self.locked_versions.get(VERSION, "")

    def check(self, host: Host) -> None:
        installation.require_installation(self._version)

    def versions(self) -> dict[str, str]:
        found = installation.find_installation()
        return {**found.versions, VERSION: found.version} if found else {}

    def hold(self, platform: str) -> AbstractContextManager[None]:
        return installation.hold_installation()

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
