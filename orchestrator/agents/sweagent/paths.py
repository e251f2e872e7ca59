"""Where SWE-agent lies when it is installed, spelled once.

<cache>/agents/sweagent/
    installed.json           names the folder in use, which is whole; written last
    lock, in-use             held (flock) by who installs, and by runs that work with it
    <folder>/checkout/       SWE-agent's repository at the installed commit
    <folder>/venv/           its own Python environment
    <folder>/runtime/linux-amd64/    SWE-ReX for sandboxes of that platform, compiled for their
                             Python, mounted read-only
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.paths import user_cache


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
class SweAgentFolder:
    """Where installations of SWE-agent lie, of which one is in use."""

    root: Path

    @classmethod
    def of_user(cls) -> SweAgentFolder:
        return cls(user_cache() / "agents" / "sweagent")

    @property
    def manifest(self) -> Path:
        return self.root / "installed.json"

    @property
    def fetched(self) -> Path:
        """A checkout that is not known to be one yet."""
        return self.root / "fetched"

    @property
    def lock(self) -> Path:
        """Held (flock) by the one who installs."""
        return self.root / "lock"

    @property
    def in_use(self) -> Path:
        """Held (flock, shared) by every run on this host that works with what is installed."""
        return self.root / "in-use"

    def installation(self, folder: str) -> SweAgentPaths:
        return SweAgentPaths(self.root / folder)
