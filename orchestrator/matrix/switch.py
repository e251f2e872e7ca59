"""The command that puts one model's server into the place of another's."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from orchestrator.config.matrix import MODEL, OTHERS
from orchestrator.report.words import duration
from orchestrator.text import printable

SHELL = "/bin/sh"
LINE_CHARACTERS = 4096
"""At most, of what is shown as one line."""
LINES_AHEAD = 1000
"""Read and not shown yet: a command that prints without end waits, and fills no memory."""
REST_S = 1.0
"""For what a command has printed before its end. What it leaves running may hold its output open
for ever, as a server does."""


def switch_command(command: str, model: str, others: Sequence[str] = ()) -> str:
    """As the shell gets it; a name that means something to a shell is quoted."""
    words = {MODEL: shlex.quote(model), OTHERS: shlex.join(others)}
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], command)


def run_switch(command: str, limit_s: float, say: Callable[[str], None]) -> str:
    """Run a `switch_command`, and say each line that it prints; what went wrong, or nothing.

    It reads nothing and has no terminal: at night nobody would answer. It is ended with all that it
    has started where it takes too long, or somebody says stop; what it leaves running when it ends
    by itself stays.
    """
    beside_python = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', '')}"
    with subprocess.Popen(
        [SHELL, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"PATH": beside_python},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = _read(process.stdout)
        process.stdout = None  # its reader closes it, when nobody writes any more
        try:
            for line in _until_the_end(process, lines, time.monotonic() + limit_s):
                say(printable(line))
        except TimeoutError:
            return f"`switch` did not end within {duration(limit_s)}, and was ended"
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return _problem(process.returncode)


def _problem(code: int) -> str:
    """Nothing where a command ended well."""
    if code < 0:
        return f"`switch` was killed by signal {-code}"
    return f"`switch` ended with exit code {code}" if code else ""


def _read(output: IO[str]) -> queue.Queue[str | None]:
    """Lines of an output as they come, None at its end; a line that is redrawn counts as many."""
    lines: queue.Queue[str | None] = queue.Queue(LINES_AHEAD)

    def read() -> None:
        with output:
            while line := output.readline(LINE_CHARACTERS):
                if line.strip():
                    lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="switch").start()
    return lines


def _until_the_end(
    process: subprocess.Popen[str], lines: queue.Queue[str | None], until: float
) -> Iterator[str]:
    """What a process prints until it has ended. Raises TimeoutError."""
    ended_at: float | None = None
    while True:
        now = time.monotonic()
        if ended_at is None and process.poll() is not None:
            ended_at = now
        if ended_at is None and now >= until:
            raise TimeoutError
        if ended_at is not None and now - ended_at > REST_S:
            return
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            continue
        if line is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(until - time.monotonic(), 0.0))
                return
            raise TimeoutError
        yield line
