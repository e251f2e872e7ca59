"""An agent's own Python environment, made by venv and pip of versions that were tried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.agents.base import Say
from orchestrator.agents.installing.programs import run_program


@dataclass(frozen=True)
class Environment:
    """One that lies in a folder, with the versions that a file of constraints allows."""

    folder: Path
    constraints: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def create(self, python: str | Path) -> None:
        """Raises PrerequisiteError where this Python can't make one."""
        problem = "Python can't make an environment"
        run_program([str(python), "-m", "venv", str(self.folder)], problem)

    def install(self, *arguments: str, detail: Say) -> None:
        """Install into it by pip, or into a folder that the arguments name.

        Raises:
            PrerequisiteError: pip can't do it, in its own words.
        """
        self._pip("install", "--constraint", str(self.constraints), *arguments, detail=detail)

    def install_uv(self, target: Path, detail: Say) -> None:
        """uv, the newest, into a folder. Raises as `install`."""
        self._pip("install", "--target", str(target), "uv", detail=detail)

    def _pip(self, *arguments: str, detail: Say) -> None:
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check"]
        command = [*pip, *arguments, "--progress-bar", "off"]
        run_program(command, "pip can't install it", detail)

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """Of these packages in it, and of the constraints."""
        code = (
            "import sys, json, importlib.metadata as m; "
            f"print(json.dumps({{p: m.version(p) for p in {tuple(packages)!r}}}))"
        )
        said = run_program([str(self.python), "-c", code], "it does not start")
        found: dict[str, str] = json.loads(said)
        return found | {"constraints": constraints_version(self.constraints)}


def constraints_version(constraints: Path) -> str:
    """Short, and another one where a line of the file is."""
    return hashlib.sha256(constraints.read_bytes()).hexdigest()[:12]
