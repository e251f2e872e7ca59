"""Imports the official harness once, and forks a process for each grade: they share its memory, and
begin at once.

A grade needs a process of its own, as the harness works in its current folder and writes to
standard output. Three that import for themselves take 97 MB, and 0.4 s of a core each; this one and
two that it has forked take 46 MB.

Its worker has the other end of the one socket that it is given (`graders`): a message there brings
a connection of a grade, and its end is the end of this process. A grade ends with its own
connection, and so with its worker, and goes on where this process is killed. One thread, as who
forks must not have others.

usage: python -m orchestrator.worker.grade_server DESCRIPTOR
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection

from orchestrator.dataset.harness import harness_module
from orchestrator.stop_signals import sit_out
from orchestrator.worker.grade import grade

BEGUN = "begun"
"""The first message of a grade's process, before its request comes."""
HARNESS = ("run_evaluation", "utils", "grading")
"""Its modules by which grades are made."""


def main() -> None:
    worker = socket.socket(fileno=int(sys.argv[1]))
    sit_out()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for name in HARNESS:
        harness_module(name)
    gc.collect()
    gc.freeze()  # children write to fewer of the pages that they share
    while True:
        message, descriptors, _, _ = socket.recv_fds(worker, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            worker.close()
            _grade(Connection(descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])


def _grade(connection: Connection) -> None:
    """Receive a request, and send what comes of it."""
    connection.send(BEGUN)
    request = connection.recv()
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    for value in grade(request):
        connection.send(value)


def _end_with(connection: Connection) -> None:
    """End when the worker does. After the request it sends nothing, so that there is something to
    read only at the end."""
    connection.poll(None)
    os._exit(1)


if __name__ == "__main__":
    main()
