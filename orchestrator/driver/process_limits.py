"""What the system lets this user have at once, and what a run wants of it: files and processes."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from dataclasses import dataclass

import psutil

OPEN_FILES = 8192
"""What Ray, the gateway and the workers may have open; macOS lets a program have 256 at first."""
FILES_BASE, FILES_PER_SLOT = 256, 32
"""Of the process that has most open; a slot's are connections to model, gateway and sandbox."""
IS_LINUX = sys.platform.startswith("linux")
PROCESSES_BASE, PROCESSES_PER_SLOT = (400, 60) if IS_LINUX else (40, 8)
"""Of Ray, the driver and the gateway, and of a slot's worker with its agent. Linux counts threads,
macOS processes. Measured: 245, 333 and 450 threads with 1, 4 and 8 slots of the agent that needs
least, and up to 85 files in one process, when each slot had a worker of its own."""


@dataclass(frozen=True)
class Limit:
    """A limit of the system's on what one process, or one user, has at once."""

    now: int | None
    """None: no limit, here and below."""
    highest: int | None
    """To which a process may raise it by itself."""


def open_files() -> Limit:
    """On the files that one process has open."""
    return _limit(resource.RLIMIT_NOFILE)


def processes() -> Limit:
    """On the processes of this user. The superuser has none."""
    return Limit(None, None) if os.geteuid() == 0 else _limit(resource.RLIMIT_NPROC)


def files_wanted(slots: int) -> int:
    return FILES_BASE + FILES_PER_SLOT * slots


def processes_wanted(slots: int) -> int:
    return PROCESSES_BASE + PROCESSES_PER_SLOT * slots


def processes_running() -> int:
    """Of this user, as the limit counts them."""
    count, user = 0, os.getuid()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == user:
                count += process.num_threads() if IS_LINUX else 1
    return count


def allow_open_files() -> None:
    """Raise this process's limit, which its children inherit, as far as the system lets it."""
    limit = open_files()
    wanted = min(OPEN_FILES, limit.highest or OPEN_FILES)
    if limit.now is not None and limit.now < wanted:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _limit(kind: int) -> Limit:
    soft, hard = resource.getrlimit(kind)
    return Limit(*(None if each == resource.RLIM_INFINITY else each for each in (soft, hard)))
