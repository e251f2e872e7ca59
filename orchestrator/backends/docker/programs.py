"""Programs of Docker's that are run on this host, within a time limit that always holds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDERS = (
    "~/.orbstack/bin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/Applications/Docker.app/Contents/Resources/bin",
    "~/.rd/bin",
    "~/.local/bin",
    "/snap/bin",
)
"""Where installers put them. A login over ssh, and launchd and cron, have few of these on PATH."""


@dataclass(frozen=True)
class EndedProgram:
    """How a program ended."""

    exit_code: int | None
    """None where it was killed, as its time was up."""
    output: str
    """Standard output, and with it standard error where that was asked for."""


def run_program(
    command: Sequence[str],
    timeout_s: float,
    *,
    given: str = "",
    env: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> EndedProgram:
    """Run a program with `given` as its standard input.

    What it has started is killed with it: a helper's own child would hold its output open.

    Raises:
        OSError: it is not there, or can't be run.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
        env=env,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        output, _ = process.communicate(given, timeout_s)
    except subprocess.TimeoutExpired:
        return EndedProgram(None, _kill(process))
    except BaseException:
        _kill(process)
        raise
    return EndedProgram(process.returncode, output)


def _kill(process: subprocess.Popen[str]) -> str:
    """Kill a program with what it has started; what it had printed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=5)[0]
    except subprocess.TimeoutExpired:  # something left its group, and holds the output open
        return ""


def path_advice(program: str) -> str:
    """How a program that is not on PATH comes to be there."""
    for folder in FOLDERS:
        found = Path(folder).expanduser() / program
        if os.access(found, os.X_OK):
            return f"It is in {found.parent}, which is not on PATH here: add it."
    return "Install it, or add its folder to PATH (logins over ssh, launchd and cron have another)."
