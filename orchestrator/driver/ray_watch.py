"""What stays of the process that started Ray (`ray_head`): it sees to the end of Ray's processes.

It takes the place of that process, and so is the parent of Ray's, with a tenth of the memory.

    python -m orchestrator.driver.ray_watch SESSION_FOLDER PID...

When standard input ends, as it does with the driver, however that ends, all processes of its
session are killed; likewise when one of those ends that are named, without which nothing works: the
driver sees this process end then.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WATCH_EVERY_S = 0.5
KILLED_WITHIN_S = 5.0
USED = "used-by-a-run"
"""A file in the folder of a Ray that work was given to: its logs are kept."""


def main() -> None:
    folder, *needed = sys.argv[1:]
    _wait_for_an_end([int(pid) for pid in needed])
    kill_session(os.getsid(0))
    remove_unused(Path(folder))


def _wait_for_an_end(children: list[int]) -> None:
    while not select.select([0], [], [], WATCH_EVERY_S)[0]:
        if any(os.waitpid(child, os.WNOHANG)[0] for child in children):
            return


def mark_used(folder: Path) -> None:
    """Let the folder of a Ray be kept when it has ended."""
    (folder / USED).touch()


def remove_unused(folder: Path) -> None:
    """Remove the folder of a Ray that no work was given to: nobody has a use for its logs."""
    if (folder / USED).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    latest = folder.with_name("session_latest")
    with contextlib.suppress(OSError):
        if latest.readlink() in (folder, Path(folder.name)):
            latest.unlink()


def kill_session(session: int) -> None:
    """Kill every process of a session of ours but this one, and see them end. Its leader goes
    first, as it starts others."""
    _kill(session, session)
    deadline = time.monotonic() + KILLED_WITHIN_S
    while (others := list(_others_of(session))) and time.monotonic() < deadline:
        for process in others:
            _kill(process, session)
        time.sleep(0.02)


def _kill(process: int, session: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process != os.getpid() and os.getsid(process) == session:
            os.kill(process, signal.SIGKILL)


def _others_of(session: int) -> Iterator[int]:
    """Processes of a session that live, but this one."""
    import psutil  # not before it is needed: it would stay for the night

    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if pid == os.getpid() or os.getsid(pid) != session:
                continue
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                yield pid


if __name__ == "__main__":
    main()
