"""Where SWE-agent lies when it is installed, spelled once.

<cache>/agents/sweagent/       see `installing/folder.py`
    <folder>/checkout/       SWE-agent's repository at the installed commit
    <folder>/venv/           its own Python environment
    <folder>/runtime/linux-amd64/    SWE-ReX for sandboxes of that platform, compiled for their
                             Python, mounted read-only
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from orchestrator.agents.installing.folder import AgentFolder


@dataclass(frozen=True)
class SweAgentPaths:
    """One installation of SWE-agent; see the module's docstring for the drawing."""

    root: Path

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def venv(self) -> Path:
        return self.root / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def tools(self) -> Path:
        """SWE-agent's own tool bundles."""
        return self.checkout / "tools"

    def runtime(self, platform: str) -> Path:
        return self.root / "runtime" / platform.replace("/", "-")


@dataclass(frozen=True)
class SweAgentFolder(AgentFolder):
    """Where installations of SWE-agent lie, of which one is in use."""

    kind: ClassVar[str] = "sweagent"
    agent: ClassVar[str] = "SWE-agent"

    @property
    def fetched(self) -> Path:
        """A checkout that is not known to be one yet."""
        return self.root / "fetched"

    def installation(self, folder: str) -> SweAgentPaths:
        return SweAgentPaths(self.root / folder)
