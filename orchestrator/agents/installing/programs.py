"""Programs that an installation runs: git, pip, Python."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from orchestrator.agents.base import Say
from orchestrator.errors import PrerequisiteError, one_line


def run_program(
    command: Sequence[str],
    problem: str,
    detail: Say | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The command's output; `detail` gets each line as it comes. Variables of `environment` are set
    beside this process's own.

    Raises:
        PrerequisiteError: it can't be run, or fails: `problem`, and its own words.
    """
    lines: list[str] = []
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ
            | {"GIT_TERMINAL_PROMPT": "0", "PYTHONPATH": ""}
            | dict(environment or {}),
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if detail is not None:
                    detail(line.strip())
    except OSError as error:
        raise PrerequisiteError(f"{command[0]} can't be run ({error.strerror}).") from error
    if process.returncode != 0:
        errors = [line for line in lines if line.startswith(("ERROR", "error", "fatal"))]
        tail = one_line("".join(errors[:5] or lines[-5:]), 400)
        raise PrerequisiteError(": ".join(filter(None, [problem, tail or "it failed"])))
    return "".join(lines)
