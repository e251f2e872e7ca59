"""The worker's end of its grade server: each grade in a process that the server forks."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection, wait

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.errors import WorkerLost, one_line
from orchestrator.stop_signals import kept_from_children
from orchestrator.types import GradeResult
from orchestrator.worker.failures import summary_of
from orchestrator.worker.grade_server import BEGUN
from orchestrator.worker.messages import ImageGone

SERVER = ("-m", "orchestrator.worker.grade_server")
TRIES = 3
START_S = 120.0
END_S = 5.0


class Graders:
    """Grades for as long as it is open; from any thread. One server at a time, and another where
    that one was killed."""

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start the server where none is up, before there is a grade. Does not wait for it, and
        leaves it to a grade to say why it does not start."""
        with contextlib.suppress(WorkerLost):
            self._up()

    def grade(self, request: GradeRequest) -> ImageGone | GradeResult:
        """Grade one patch; never raises. A process that ends without a result is a lost worker."""
        started_at = time.time()
        try:
            with self._connect() as connection:
                connection.send(request)
                result: ImageGone | GradeResult = connection.recv()
        except WorkerLost as error:
            return grade_result(request, started_at, {}, {}, error)
        except (EOFError, OSError):
            lost = WorkerLost("the process of the grade ended without a result")
            return grade_result(request, started_at, {}, {}, lost)
        return result

    def close(self) -> None:
        """End the server. A grade under way goes on, as long as somebody waits for it."""
        with self._lock:
            if self._server is not None:
                self._server.close()

    def _connect(self) -> Connection:
        """The line to a process for a grade. Where the server was killed before it had forked one,
        nothing was done, and another is asked. Raises WorkerLost."""
        for _ in range(TRIES):
            server = self._up()
            connection = server.fork()
            if connection is not None:
                return connection
        raise WorkerLost(f"no process for grades starts: {server.last_words()}")

    def _up(self) -> _Server:
        """Raises WorkerLost where none can be started."""
        with self._lock:
            if self._server is not None and not self._server.is_up:
                self._server.close()
                self._server = None
            if self._server is None:
                try:
                    self._server = _Server()
                except OSError as error:
                    raise WorkerLost(f"no process for grades starts: {summary_of(error)}") from None
            return self._server


class _Server:
    def __init__(self) -> None:
        """Raises OSError."""
        self._control, its_end = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        with its_end, kept_from_children():
            self._process = subprocess.Popen(
                [sys.executable, *SERVER, str(its_end.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                # macOS ends forked processes that first use its frameworks (CPython 104578)
                env=os.environ | {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"},
                pass_fds=[its_end.fileno()],
                start_new_session=True,
            )

    @property
    def is_up(self) -> bool:
        return self._process.poll() is None

    def fork(self) -> Connection | None:
        """The line to a process that has begun; None where the server ended before."""
        ours, its_end = socket.socketpair()
        connection = Connection(ours.detach())
        try:
            with its_end:
                socket.send_fds(self._control, [b"."], [its_end.fileno()])
                # until it has arrived, or the server has ended: macOS may lose what is closed here
                # on its way (CPython's issue 14669)
                if not wait([connection, self._control], START_S):
                    self._process.kill()  # an import of its hangs
            assert connection.recv() == BEGUN
        except (EOFError, OSError, ValueError):  # closed meanwhile by who started another
            connection.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)  # it is about to be gone
            return None
        return connection

    def last_words(self) -> str:
        """Of one that has ended, in one line."""
        lines = []
        with contextlib.suppress(ValueError):  # closed by who started another
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return one_line(lines[-1]) if lines else "it ended at once"

    def close(self) -> None:
        """End it where it has not ended yet."""
        self._control.close()
        self._process.wait()
        self._errors.close()
