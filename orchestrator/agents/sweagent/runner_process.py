"""The worker's end of `runner.py`: starts runners, exchanges messages with them, ends them."""

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
from pathlib import Path
from typing import Any

from orchestrator.agents.sweagent.installation import Installation
from orchestrator.errors import AgentCrashed
from orchestrator.stop_signals import kept_from_children

RUNNER = Path(__file__).with_name("runner.py")
SHELL = Path(__file__).with_name("shell.py")
FORKSERVER = Path(__file__).with_name("forkserver.py")
START_S = 120.0
"""SWE-agent's imports take three seconds, and a minute on a host that is busy."""
POLL_S = 0.05
MAX_FOLDER = 60


class Runner:
    """One process, in its own group, in SWE-agent's environment."""

    def __init__(self, installation: Installation) -> None:
        """Start it, and the server that forks it where none is up. Raises AgentCrashed."""
        self.folder = installation.folder
        self.pid = 0
        self._errors = Path()
        self._connection = _connect(installation)
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
        return AgentCrashed(f"SWE-agent's process ended. {last}".strip())


def warm_up(installation: Installation) -> None:
    """Start this host's fork server where none is up. Does not wait for it."""
    _start_server(_socket_path(installation), installation)


def _connect(installation: Installation) -> socket.socket:
    """A connection to this host's fork server, which is started where there is none.

    Raises:
        AgentCrashed: it does not come up.
    """
    path = _socket_path(installation)
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
            raise AgentCrashed(f"SWE-agent does not start: {_last_line(_log_path(path))}")
        server = server or _start_server(path, installation)
        time.sleep(POLL_S)
    raise AgentCrashed(f"SWE-agent does not start: nothing after {START_S:.0f} s")


def _start_server(path: Path, installation: Installation) -> subprocess.Popen[bytes] | None:
    """Start a fork server, unless one is up or about to be: it holds a lock as long as it lives.

    Raises:
        AgentCrashed: its Python can't be started, or the folder for its socket is not ours.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.parent.stat().st_uid != os.getuid():
            raise AgentCrashed(f"SWE-agent does not start: {path.parent} is another user's")
        return _start_where_none_is(path, installation)
    except OSError as error:
        raise AgentCrashed(f"SWE-agent does not start: {error}") from error


def _start_where_none_is(path: Path, installation: Installation) -> subprocess.Popen[bytes] | None:
    with open(path.with_suffix(".lock"), "a") as lock, open(_log_path(path), "ab") as log:
        try:
            # flock, as the server takes it over by the descriptor, and keeps it when we are gone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RAY"))}
        environment |= {
            "SWE_AGENT_LOG_STREAM_LEVEL": "WARNING",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list from the network
            # a child that asks macOS for its proxies dies (CPython's issue 104578), and all that
            # it speaks to is on this host
            "no_proxy": "*",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
        }
        words = [FORKSERVER, path, lock.fileno(), RUNNER]
        log.truncate(0)
        with kept_from_children():
            return subprocess.Popen(
                [str(installation.paths.python), *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )


def _socket_path(installation: Installation) -> Path:
    """One for each user, installation and version of our programs. Short: systems allow about a
    hundred characters."""
    source = b"".join(path.read_bytes() for path in (RUNNER, SHELL, FORKSERVER))
    programs = hashlib.sha256(source).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"sweo-{os.getuid()}"
    if len(str(folder)) > MAX_FOLDER:
        folder = Path("/tmp") / folder.name
    return folder / f"{installation.folder}.{programs}.sock"


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

    def take(self, folder: str) -> Runner | None:
        """One that runs the installation in this folder; others are killed."""
        with self._lock:
            while self._runners:
                runner = self._runners.pop()
                if runner.is_waiting and runner.folder == folder:
                    return runner
                runner.kill()
        return None

    def give(self, runner: Runner) -> None:
        with self._lock:
            self._runners.append(runner)

    def kill(self) -> None:
        with self._lock:
            while self._runners:
                self._runners.pop().kill()


_idle = _Idle()
atexit.register(_idle.kill)


def take_runner(installation: Installation) -> Runner:
    """One that has finished its last rollout, or a new one. Raises AgentCrashed."""
    return _idle.take(installation.folder) or Runner(installation)


def give_back(runner: Runner) -> None:
    """Keep it for the next rollout. Its last message must have been received."""
    _idle.give(runner)
