"""An agent's own Python environment, made by venv and pip."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.agents.base import Say
from orchestrator.agents.installing.programs import run_program
from orchestrator.errors import PrerequisiteError, one_line

NO_INDEX = re.compile(r"after connection broken by '(.*)': /|Could not fetch URL (.*) - skipping")
"""What pip prints of an index that gives no answer. It goes on, and finds no package in the end."""
WRAPPED = re.compile(
    r"^.*(?:<[^<>]*>|Connection\([^()]*\)|Pool\([^()]*\)): (?:Max retries.*?Caused by )?"
)
"""What stands in it before the reason."""
MAX_REASON_CHARS = 200


class PipFailed(PrerequisiteError):
    """pip did not do its part. `output` is all that it printed."""

    def __init__(self, problem: str, cure: str, output: str) -> None:
        super().__init__(problem, cure)
        self.output = output


@dataclass(frozen=True)
class VirtualEnvironment:
    """One that lies in a folder."""

    folder: Path

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
            PipFailed: in pip's words, or in one line where no package index answers.
        """
        lines: list[str] = []

        def note(line: str) -> None:
            lines.append(line)
            detail(line)

        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "install"]
        command = [*pip, *arguments, "--progress-bar", "off"]
        try:
            # a user's settings may ask for a place that no environment has
            run_program(command, "pip can't install it", note, {"PIP_USER": "0"})
        except PrerequisiteError as error:
            problem, cure = str(error), ""
            if reason := why_no_index_answers(lines):
                problem = f"pip reaches no package index: {reason}."
                cure = "Look at this host's network and proxy, and run it again."
            raise PipFailed(problem, cure, "\n".join(lines)) from error

    def install_uv(self, target: Path, detail: Say) -> None:
        """uv, the newest, into a folder. Raises as `install`."""
        self.install("--target", str(target), "uv", detail=detail)

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """Of these packages in it."""
        code = (
            "import sys, json, importlib.metadata as m; "
            f"print(json.dumps({{p: m.version(p) for p in {tuple(packages)!r}}}))"
        )
        said = run_program([str(self.python), "-c", code], "it does not start")
        found: dict[str, str] = json.loads(said)
        return found


def why_no_index_answers(lines: Sequence[str]) -> str:
    """The reason that pip gave last; empty where it got answers."""
    reasons = [found for line in lines if (found := NO_INDEX.search(line))]
    if not reasons:
        return ""
    said = next(filter(None, reasons[-1].groups()))
    said = WRAPPED.sub("", said).rstrip('")')
    said += ")" * (said.count("(") - said.count(")"))
    return one_line(said.rstrip("'") if said.count("'") % 2 else said, MAX_REASON_CHARS)


def constraints_version(constraints: Path) -> str:
    """Short, and another one where a line of the file is."""
    return hashlib.sha256(constraints.read_bytes()).hexdigest()[:12]
