"""Pays a program's imports once for all of this host's rollout slots, and shares their memory.

It is here for the memory. Against a process for each slot that imports for itself, SWE-agent's
processes took 303 MB instead of 1,370 at 8 slots, 242 instead of 691 at 4, and 194 instead of 182
at one (PSS, at its peak; when litellm was still imported with the rest). Each start costs a fork
instead of seconds of one core. On a busy host of two cores the first call to the model came sooner
at 8 slots only.

Runs in the agent's environment and imports nothing of ours. It loads the agent's runner, listens at
a Unix socket, and for each connection forks a child, with the connection as its standard input and
output, that runs the program's `main`. It ends by itself when it has had no child for a while.

usage: python forkserver.py SOCKET LOCK_FD PROGRAM
"""

from __future__ import annotations

import contextlib
import gc
import glob
import importlib.util
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import ModuleType

IDLE_S = 30.0
POLL_S = 0.5


def offer_our_line() -> None:
    """Let the program import what lies beside this file, as `orchestrator.agents.runners`.

    Our package is not installed here, and nothing else of it can be imported.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    folders: dict[str, list[str]] = {
        "orchestrator": [],
        "orchestrator.agents": [],
        "orchestrator.agents.runners": [here],
    }
    for name, folder in folders.items():
        package = ModuleType(name)
        package.__path__ = folder
        sys.modules[name] = package


def load(program: str) -> ModuleType:
    """The module, which may import those beside it as `from .name`, and `line` of ours."""
    offer_our_line()
    beside = [os.path.dirname(program)]
    spec = importlib.util.spec_from_file_location(
        "program", program, submodule_search_locations=beside
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["program"] = module
    spec.loader.exec_module(module)
    return module


def reap() -> int:
    """How many children have ended since the last time."""
    ended = 0
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            ended += 1
    return ended


def become_child(connection: socket.socket, errors: str, main: Callable[[], None]) -> None:
    """In a process group of its own, that a worker can kill as one."""
    os.setsid()
    with open(errors, "wb") as file:
        os.dup2(file.fileno(), 2)
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    connection.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the process's life
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    print(json.dumps({"kind": "forked", "pid": os.getpid(), "errors": errors}), flush=True)
    main()


def remove_files(path: str) -> None:
    """The socket, and the errors of children whose worker was killed."""
    for left in [path, *glob.glob(f"{glob.escape(path)}.*")]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left)


def serve(path: str, lock_fd: int, main: Callable[[], None]) -> None:
    listener = socket.socket(socket.AF_UNIX)
    remove_files(path)  # of a server that was killed
    listener.bind(path)
    listener.listen(64)
    listener.settimeout(POLL_S)
    gc.collect()
    gc.freeze()  # children write to fewer of the pages that they share
    children, busy_at = 0, time.monotonic()
    while children or time.monotonic() - busy_at < IDLE_S:
        children -= reap()
        if children:
            busy_at = time.monotonic()
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.setblocking(True)
        errors = f"{path}.{time.monotonic_ns()}"
        if os.fork() == 0:
            listener.close()
            os.close(lock_fd)
            become_child(connection, errors, main)
            os._exit(0)
        connection.close()
        children += 1
    remove_files(path)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's Ctrl-C is for the driver
    serve(sys.argv[1], int(sys.argv[2]), load(sys.argv[3]).main)
