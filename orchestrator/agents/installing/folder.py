"""The folder of an agent's installations, one of which is in use.

<cache>/agents/<kind>/
    installed.json     names the folder in use, which is whole; written last
    lock, in-use       held (flock) by who installs, and by runs that work with it
    <folder>/          one installation; what lies in it is the agent's own affair
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from orchestrator.errors import PrerequisiteError
from orchestrator.file_locks import Locked, hold_lock
from orchestrator.paths import write_atomic
from orchestrator.user_paths import user_cache

MAX_VERSION_CHARS = 12


@dataclass(frozen=True)
class AgentFolder:
    """Where the installations of an agent lie; see the module's docstring for the drawing."""

    kind: ClassVar[str]
    """As in `agents install KIND`."""
    agent: ClassVar[str]
    """Its name for people."""

    root: Path

    @classmethod
    def of_user(cls) -> Self:
        return cls(user_cache() / "agents" / cls.kind)

    @property
    def manifest(self) -> Path:
        return self.root / "installed.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the one who installs."""
        return self.root / "lock"

    @property
    def in_use(self) -> Path:
        """Held (flock, shared) by every run on this host that works with what is installed."""
        return self.root / "in-use"

    def read_manifest(self) -> Any:
        """What `keep` has written.

        Raises:
            OSError, ValueError: there is none, or it is no JSON.
        """
        return json.loads(self.manifest.read_text(encoding="utf-8"))

    @contextmanager
    def new_folder(self, version: str) -> Iterator[str]:
        """The name of one that is new: what is installed stays until the other is whole. It goes
        where what is done in it fails."""
        name = f"{version[:MAX_VERSION_CHARS]}-{secrets.token_hex(3)}"
        (self.root / name).mkdir(parents=True)
        try:
            yield name
        except BaseException:  # a person's Ctrl-C too; it goes on
            shutil.rmtree(self.root / name, ignore_errors=True)
            raise

    def keep(self, folder: str, manifest: Mapping[str, Any]) -> None:
        """From now on this one is in use; all others go."""
        write_atomic(self.manifest, json.dumps(manifest, indent=1))
        for other in self.root.glob("*/"):
            if other.name != folder:
                shutil.rmtree(other, ignore_errors=True)

    def hold(self) -> AbstractContextManager[None]:
        """For a run: nobody replaces what is installed meanwhile.

        Raises:
            PrerequisiteError: somebody is about to.
        """
        problem = f"Another version of {self.agent} is being installed."
        return _hold(self.in_use, problem, "Wait for it.", shared=True)

    def hold_unused(self) -> AbstractContextManager[None]:
        """For who replaces it. Raises PrerequisiteError where a run works with it."""
        problem = f"A run works with the {self.agent} that is installed."
        return _hold(self.in_use, problem, "Wait for its end, or stop it.")

    def hold_install_lock(self) -> AbstractContextManager[None]:
        """For who installs. Raises PrerequisiteError where somebody else does."""
        problem = f"Another `agents install {self.kind}` is at work."
        return _hold(self.lock, problem, "Wait for it.")


@contextmanager
def _hold(path: Path, problem: str, cure: str, *, shared: bool = False) -> Iterator[None]:
    """Raises PrerequisiteError(problem, cure) where another process has the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(path, shared=shared))
        except Locked:
            raise PrerequisiteError(problem, cure) from None
        yield
