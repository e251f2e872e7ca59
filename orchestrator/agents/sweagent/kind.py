"""`sweagent` as a run has it: its installation, and what is checked and held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator.agents.base import TOOLS, Say, SimpleKind, read_only_mount
from orchestrator.agents.sweagent import installation
from orchestrator.agents.sweagent.bundles import find_bundle
from orchestrator.agents.sweagent.settings import SweAgentSettings
from orchestrator.agents.templates import require_templates
from orchestrator.backends.host import Host
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import AgentCrashed, ConfigError

if TYPE_CHECKING:
    from orchestrator.agents.sweagent.agent import SweAgent

COMMIT = "sweagent_commit"
"""Among the versions of a lock.json."""


@dataclass(frozen=True)
class SweAgentKind(SimpleKind[SweAgentSettings]):
    """SWE-agent, from an installation of its own, at the commit that the run began with."""

    Settings: ClassVar[type[AgentSettings]] = SweAgentSettings
    leaves_repository_alone: ClassVar[bool] = True

    @property
    def _commit(self) -> str:
        return self.locked_versions.get(COMMIT, "")

    @property
    def calls_functions(self) -> bool:
        return self.settings.protocol == "function_calling"

    def check(self, host: Host) -> None:
        require_templates(self.settings)
        if not host.isolates:
            raise ConfigError(
                f"agent {self.settings.name!r} writes outside of the repository, so it works in "
                "containers only: use --sandbox docker, or --agent mini"
            )
        found = installation.require_installation(host.platform, self._commit)
        for folder in (TOOLS, found.paths.runtime(host.platform)):
            read_only_mount(folder, "/")
        for bundle in self.settings.bundles:
            find_bundle(bundle, found.paths.tools)

    def versions(self) -> dict[str, str]:
        found = installation.find_installation()
        return {**found.versions, COMMIT: found.commit} if found else {}

    @contextmanager
    def hold(self, platform: str) -> Iterator[None]:
        """Keep the installation as it is, and start SWE-agent's imports while Ray starts."""
        from orchestrator.agents.runners.process import warm_up
        from orchestrator.agents.sweagent.program import runner_program

        with installation.hold_installation():
            # it may have been replaced since `check`
            found = installation.require_installation(platform, self._commit)
            with suppress(AgentCrashed):  # its rollouts will record that
                warm_up(runner_program(found))
            yield

    def create(self) -> SweAgent:
        from orchestrator.agents.sweagent.agent import SweAgent

        return SweAgent(self.settings, self._commit)

    @staticmethod
    def installed() -> dict[str, Any] | None:
        found = installation.find_installation()
        if found is None:
            return None
        return {
            "folder": str(found.paths.root),
            "source": found.source,
            "ref": found.ref,
            "commit": found.commit,
            "versions": found.versions,
            "platforms": found.platforms,
        }

    @staticmethod
    def installed_line() -> str:
        found = installation.find_installation()
        if found is None:
            return f"SWE-agent is not installed; `{installation.INSTALL}` does that."
        slow = [platform for platform in found.platforms if not found.is_compiled(platform)]
        remark = f"; {installation.NOT_COMPILED} ({', '.join(slow)})" if slow else ""
        return (
            f"SWE-agent {found.ref} ({found.commit[:12]}) with SWE-ReX "
            f"{found.versions['swe-rex']}, for sandboxes of {', '.join(found.platforms)}, in "
            f"{found.paths.root}{remark}"
        )

    @staticmethod
    def install(source: str, ref: str, platform: str, say: Say, detail: Say) -> str:
        found = installation.install(
            source or installation.SOURCE, ref or installation.REF, platform, say, detail
        )
        return f"SWE-agent {found.ref} ({found.commit[:12]}) is in {found.paths.root}"
