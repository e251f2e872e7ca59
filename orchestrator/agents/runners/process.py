"""The worker's end of an agent's runner: starts runners, exchanges messages with them, ends them.

A runner is a process in the agent's own environment, one for each rollout slot. Its end of the line
is `line.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import AgentCrashed
from orchestrator.stop_signals import kept_from_children

FORKSERVER = Path(__file__).with_name("forkserver.py")
LINE = Path(__file__).with_name("line.py")
START_S = 120.0
"""An agent's imports take several seconds, and a minute on a host that is busy."""
POLL_S = 0.05
MAX_FOLDER_BYTES = 60


@dataclass(frozen=True)
class RunnerProgram:
    """What an agent's runners are, and what they run in."""

    agent: str
    """Its name for people."""
    folder: str
    """Names the installation. Short, as it is part of a socket's path."""
    python: Path
    """Of the agent's environment."""
    program: Path
    """Has a `main`, which serves rollouts (`line.serve_rollouts`)."""
    beside: tuple[Path, ...]
    """Other files of ours that it imports."""
    environment: Mapping[str, str]
    """Variables that are set beside the worker's own."""


class Runner:
    """One process, in its own group, in an agent's environment."""

    def __init__(self, program: RunnerProgram) -> None:
        """Start it, and the server that forks it where none is up. Raises AgentCrashed."""
        self.program = program
        self.pid = 0
        self._errors = Path()
        self._connection = _connect(program)
        self._incoming = self._connection.makefile("rb")
        self._connection.settimeout(START_S)
        start = self.receive()
        self._connection.settimeout(None)
        self.pid = int(start["pid"])
        self._errors = Path(start["errors"])

    @property
    def is_waiting(self) -> bool:
        """Whether it is there and has sent nothing that was not received."""
        return self._peek() is None

    def _peek(self) -> bytes | None:
        """A byte that was sent and not received; None where there is none, empty at its end."""
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send(self, kind: str, **fields: Any) -> None:
        """Raises AgentCrashed where nobody listens any more."""
        try:
            self._connection.sendall(json.dumps({"kind": kind, **fields}).encode() + b"\n")
        except OSError as error:
            raise self._crashed() from error

    def receive(self) -> dict[str, Any]:
        """The next message; waits for it. Raises AgentCrashed when the process has ended."""
        try:
            message: dict[str, Any] = json.loads(self._incoming.readline())
        except (OSError, ValueError) as error:
            raise self._crashed() from error
        return message

    def kill(self) -> None:
        """End it and its children. Safe to call twice; never raises."""
        has_ended = self._peek() == b""  # its pid may be another process's by now
        if self.pid and not has_ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in `receive`
        self._connection.close()
        self._incoming.close()
        with contextlib.suppress(OSError):
            self._errors.unlink()

    def _crashed(self) -> AgentCrashed:
        last = ""
        with contextlib.suppress(OSError):  # killed meanwhile, or it never came so far
            last = _last_line(self._errors)
        with contextlib.suppress(OSError):
            self._connection.settimeout(None)  # or `kill` would wait as long once more
        self.kill()
        return AgentCrashed(f"The process of {self.program.agent} ended. {last}".strip())


def warm_up(program: RunnerProgram) -> None:
    """Start this host's fork server where none is up. Does not wait for it."""
    _start_server(_socket_path(program), program)


def _connect(program: RunnerProgram) -> socket.socket:
    """A connection to this host's fork server, which is started where there is none.

    Raises:
        AgentCrashed: it does not come up.
    """
    path = _socket_path(program)
    deadline = time.monotonic() + START_S
    server: subprocess.Popen[bytes] | None = None
    while time.monotonic() < deadline:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
        if server is not None and server.poll() is not None:
            raise AgentCrashed(f"{program.agent} does not start: {_last_line(_log_path(path))}")
        server = server or _start_server(path, program)
        time.sleep(POLL_S)
    raise AgentCrashed(f"{program.agent} does not start: nothing after {START_S:.0f} s")


def _start_server(path: Path, program: RunnerProgram) -> subprocess.Popen[bytes] | None:
    """Start a fork server, unless one is up or about to be: it holds a lock as long as it lives.

    Raises:
        AgentCrashed: its Python can't be started, or the folder for its socket is not ours.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.parent.stat().st_uid != os.getuid():
            raise AgentCrashed(f"{program.agent} does not start: {path.parent} is another user's")
        return _start_where_none_is(path, program)
    except OSError as error:
        raise AgentCrashed(f"{program.agent} does not start: {error}") from error


def _start_where_none_is(path: Path, program: RunnerProgram) -> subprocess.Popen[bytes] | None:
    with open(path.with_suffix(".lock"), "a") as lock, open(_log_path(path), "ab") as log:
        try:
            # flock, as the server takes it over by the descriptor, and keeps it when we are gone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RAY"))}
        environment |= {
            # a child that asks macOS for its proxies dies (CPython's issue 104578), and all that
            # it speaks to is on this host
            "no_proxy": "*",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
            **program.environment,
        }
        words = [FORKSERVER, path, lock.fileno(), program.program]
        log.truncate(0)
        with kept_from_children():
            return subprocess.Popen(
                [str(program.python), "-I", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )


def _socket_path(program: RunnerProgram) -> Path:
    """One for each user, installation and version of our programs. Short: systems allow about a
    hundred bytes."""
    files = (program.program, *program.beside, FORKSERVER, LINE)
    ours = [path.read_bytes() for path in files]
    ours.append(repr(sorted(program.environment.items())).encode())
    version = hashlib.sha256(b"".join(ours)).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"sweo-{os.getuid()}"
    if len(os.fsencode(folder)) > MAX_FOLDER_BYTES:
        folder = Path("/tmp") / folder.name
    return folder / f"{program.folder}.{version}.sock"


def _log_path(path: Path) -> Path:
    return path.with_suffix(".log")


def _last_line(path: Path) -> str:
    lines = path.read_bytes()[-1000:].decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


class _Idle:
    """Runners that wait for a rollout: a worker has one, and tests that use threads several."""

    def __init__(self) -> None:
        self._runners: list[Runner] = []
        self._lock = threading.Lock()

    def take(self, program: RunnerProgram) -> Runner | None:
        """One that runs this; those of another installation of the same agent are killed."""
        others, found = [], None
        with self._lock:
            while found is None and self._runners:
                runner = self._runners.pop()
                if runner.program.agent != program.agent:
                    others.append(runner)
                elif runner.program == program and runner.is_waiting:
                    found = runner
                else:
                    runner.kill()
            self._runners += others
        return found

    def give(self, runner: Runner) -> None:
        with self._lock:
            self._runners.append(runner)

    def kill(self) -> None:
        with self._lock:
            while self._runners:
                self._runners.pop().kill()


_idle = _Idle()
atexit.register(_idle.kill)


def take_runner(program: RunnerProgram) -> Runner:
    """One that has finished its last rollout, or a new one. Raises AgentCrashed."""
    return _idle.take(program) or Runner(program)


def give_back(runner: Runner) -> None:
    """Keep it for the next rollout. Its last message must have been received."""
    _idle.give(runner)
