"""Which processes belong to a copy: by a variable of their environment, and by their session.

macOS shows nobody the environment of Apple's own programs, such as bash and sleep. So the sessions
that a sandbox starts are noted beside its copy: by their leader and the time when that began, as
ids of processes are used again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MARKER = "SWE_ORCHESTRATOR_SCRATCH"
"""Environment variable of every process in a sandbox: the folder that it belongs to."""
NOTED = "sessions"
"""The file in that folder; a line a session."""
SAME_TIME_S = 1.0
"""Times of a start differ by less, where the system's clock was set meanwhile."""


@dataclass(frozen=True)
class _Session:
    leader: int
    started_at: float
    copy: Path

    def has(self, process: psutil.Process) -> bool:
        """Whether a process of a session with this number is of this very session.

        As long as its leader lives, that is certain. Without it the number may be a stranger's
        session by now: only what works in the copy's folders is taken for ours.
        """
        try:
            began_at = psutil.Process(self.leader).create_time()
        except psutil.NoSuchProcess:
            return Path(process.cwd()).is_relative_to(self.copy)
        return abs(began_at - self.started_at) < SAME_TIME_S


def start_session(copy: Path, command: Sequence[str], **settings: Any) -> subprocess.Popen[bytes]:
    """Start a program for a copy, in a session of its own that is noted. `settings` are those of
    `Popen`. Raises OSError."""
    process = subprocess.Popen(command, start_new_session=True, **settings)
    note_session(copy, process.pid)
    return process


def note_session(copy: Path, leader: int) -> None:
    """Note a session that was just started for a copy."""
    with contextlib.suppress(psutil.Error, OSError):  # it has ended already, or the copy is gone
        line = f"{leader} {psutil.Process(leader).create_time()}\n"
        with open(copy / NOTED, "a", encoding="ascii") as file:
            file.write(line)


def kill_processes_of(scratch: Path) -> int:
    """Kill every process of ours that belongs to this folder or to one below it; how many."""
    sessions = {session.leader: session for session in _noted(scratch)}
    killed = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if _is_marked(process, scratch) or _is_in_one(process, sessions):
                process.kill()
                killed += 1
    return killed


def _is_marked(process: psutil.Process, scratch: Path) -> bool:
    try:
        owner = process.environ().get(MARKER)
    except psutil.AccessDenied:
        return False
    return bool(owner) and Path(str(owner)).is_relative_to(scratch)


def _is_in_one(process: psutil.Process, sessions: dict[int, _Session]) -> bool:
    session = sessions.get(os.getsid(process.pid)) if sessions else None
    return session is not None and session.has(process)


def _noted(scratch: Path) -> Iterator[_Session]:
    for file in (scratch / NOTED, *scratch.glob(f"*/{NOTED}")):
        try:
            lines = file.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            leader, _, started_at = line.partition(" ")
            with contextlib.suppress(ValueError):  # half a line, or an agent's
                yield _Session(int(leader), float(started_at), file.parent)
