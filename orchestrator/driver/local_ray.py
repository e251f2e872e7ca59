"""Ray on this host for this driver alone: its process started, what keeps it from starting told.

Imports no Ray: it is asked before the night too, when nobody needs that yet.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from orchestrator.config.sections import AUTO
from orchestrator.driver.ray_watch import kill_session, mark_used, remove_unused
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.proxies import is_this_host
from orchestrator.stop_signals import kept_from_children

ENVIRONMENT = {
    # no reports to its makers, no advice meant for GPU users
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # glibc would give every thread of a worker an arena of its own, and keep what each once held
    "MALLOC_ARENA_MAX": "2",
    # short of memory, it would kill the one process of all rollouts, which is none of what takes it
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_preload_python_modules": "orchestrator.driver.ray_preload",
}
"""Of Ray's processes here, unless a person says otherwise."""
CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's own switch. Without clusters it keeps to this host's loopback address, as it does on a Mac:
nobody else reaches it, and it goes on when the host takes another address, or has none."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Of shared memory, for what its processes hand each other."""
AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
HEAD = ("-m", "orchestrator.driver.ray_head", str(OBJECT_STORE_BYTES))
START_S = 180.0
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
"""Of a socket's path; the system's limit, less the zero at its end."""
LONGEST_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
"""Of Ray's, below its temporary folder."""
ANSWER_S = 10.0

_CURES = {
    r"no space left|disk quota": "Make room in {folder}, or set RAY_TMPDIR to another folder.",
    r"permission denied|read-only|not permitted|not a directory|file exists": (
        "Ray keeps its files in {folder}: set RAY_TMPDIR to a folder that can be written."
    ),
    r"too many open files": "Raise the limit on open files: `ulimit -n 65536`.",
    r"resource temporarily unavailable|can't start new thread|pthread_create": (
        "Raise the limit on processes (`ulimit -u`), or end some."
    ),
    r"cannot allocate|out of memory|memoryerror|memory available|not enough memory": (
        "Free some memory, or take fewer --workers."
    ),
    r"address already in use": "End what has its port, or unset RAY_GCS_SERVER_PORT.",
}
"""What Ray says when it can't start, as a pattern, and what mends it."""


def temporary_folder() -> Path:
    """Where Ray keeps sockets and logs: $RAY_TMPDIR, else $TMPDIR on Linux, else /tmp.

    One that a person chose for all programs is passed over where Ray could not use it.

    Raises:
        PrerequisiteError: Ray can't use RAY_TMPDIR.
    """
    chosen = os.environ.get("RAY_TMPDIR")
    if chosen:
        if (problem := _unfit(chosen)) is not None:
            raise PrerequisiteError(
                f"Ray can't keep its sockets in RAY_TMPDIR: {problem}.",
                "Set it to a folder with another name, such as /tmp.",
            )
        return Path(chosen)
    folder = os.environ.get("TMPDIR") if sys.platform.startswith("linux") else None
    return Path(folder if folder and _unfit(folder) is None else "/tmp")


def _unfit(folder: str) -> str | None:
    """Why Ray can't keep its sockets in a folder of this name; None where it can."""
    room, length = SOCKET_BYTES - len(LONGEST_SOCKET), len(os.fsencode(folder))
    if length > room:
        return f"its name has {length} bytes, more than {room}"
    if not folder.isascii():
        return "its name has other letters than ASCII's"
    return None if os.path.isabs(folder) else "its name does not begin at /"


def require_ray(address: str | None) -> None:
    """Raises PrerequisiteError where it is clear before the night that Ray can't start, or join."""
    if address is None:
        temporary_folder()
    elif address != AUTO:  # the Ray that this host is a node of
        host, port = _host_and_port(address)
        _require_no_mac(address, host)
        _require_answer(address, host, port)


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        if "/" not in address and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:  # no port, or no address of IPv6
        pass
    raise PrerequisiteError(
        f"--ray-address {address!r} is not HOST:PORT of a Ray head.",
        "`ray start --head` prints it; its port is 6379 unless it was told another.",
    )


def _require_no_mac(address: str, host: str) -> None:
    """Ray supports clusters on Linux only: a Mac's hears nobody but itself."""
    is_allowed = os.environ.get(CLUSTERS, "").lower() in ("1", "true")
    if platform.system() != "Darwin" or is_allowed or is_this_host(host):
        return
    raise PrerequisiteError(
        f"a Mac can't be a node of the Ray cluster at {address}: Ray joins Linux hosts only.",
        "Start this command on a Linux node of it, or here without --ray-address: the Mac works by "
        "itself then, and its model server may be any host.",
    )


def _require_answer(address: str, host: str, port: int) -> None:
    """Ray itself would try for many minutes."""
    try:
        socket.create_connection((host, port), ANSWER_S).close()
    except OSError as error:
        raise PrerequisiteError(
            f"no Ray answers at {address} ({one_line(error)}).",
            "Start its head with `ray start --head`, or check --ray-address.",
        ) from None


class LocalRay:
    """Ray's processes on this host, from their start to `close`.

    They are begun, and not waited for: `wait` does that, when somebody wants them.
    """

    def __init__(self) -> None:
        """Begin.

        Raises:
            PrerequisiteError: no process can be started, or Ray's folder not be used.
        """
        self.token = None if AUTH_MODE in os.environ else secrets.token_hex(32)
        """That this Ray asks for, and nobody else is told; None where a person has decided."""
        self._folder = temporary_folder()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`
        self._answer: dict[str, str] | None = None
        self._is_wanted = False
        self._process = self._begin()

    def wait(self) -> None:
        """Until it is up. Safe to call twice.

        Raises:
            PrerequisiteError: it does not start. It is closed then.
        """
        if self._answer is not None:
            return
        self._is_wanted = True
        try:
            answer = self._read_answer() or {"error": _last_line(self._errors)}
            if "error" in answer:
                raise PrerequisiteError(
                    f"Ray can't start ({one_line(answer['error'])}).",
                    cure_of(answer["error"], self._folder),
                )
            mark_used(Path(answer["session_dir"]))
        except OSError as error:
            self.close()
            cure = cure_of(str(error), self._folder)
            raise PrerequisiteError(f"Ray can't start ({one_line(error)}).", cure) from None
        except BaseException:
            self.close()
            raise
        self._answer = answer

    @property
    def address(self) -> str:
        """Of a Ray that was waited for."""
        assert self._answer is not None, "it was not waited for"
        return self._answer["address"]

    @property
    def session_dir(self) -> str:
        """Its folder on this host; it stands in the command lines of all its processes."""
        assert self._answer is not None, "it was not waited for"
        return self._answer["session_dir"]

    def require_alive(self) -> None:
        """Raises PrerequisiteError where its processes have ended: all that ran is lost."""
        if self._process.poll() is not None:
            raise PrerequisiteError(
                "Ray's processes on this host were killed, and what ran with them.",
                "Was memory short? All that is recorded stands: `resume` goes on.",
            )

    def close(self) -> None:
        """End all its processes. Safe to call twice."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdin.closed:
            return
        kill_session(process.pid)
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            stream.close()
        if not self._is_wanted:
            for folder in (self._folder / "ray").glob(f"session_*_{process.pid}"):
                remove_unused(folder)

    def _begin(self) -> subprocess.Popen[bytes]:
        environment = ENVIRONMENT | os.environ | {CLUSTERS: "0", "RAY_TMPDIR": str(self._folder)}
        if self.token is not None:
            environment |= {AUTH_MODE: "token", AUTH_TOKEN: self.token}
        try:
            with kept_from_children():
                return subprocess.Popen(
                    [sys.executable, *HEAD],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            self._errors.close()
            cure = cure_of(str(error), self._folder)
            raise PrerequisiteError(f"Ray can't start ({one_line(error)}).", cure) from None

    def _read_answer(self) -> dict[str, str]:
        """Its answer; empty where it died before it had one."""
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], START_S)[0]:
            return {"error": f"nothing after {START_S:.0f} s"}
        line = stdout.readline()
        try:
            answer: dict[str, str] = json.loads(line) if line else {}
        except ValueError as error:
            return {"error": str(error)}
        return answer


def cure_of(error: str, folder: Path) -> str:
    """What mends it that Ray can't start here, by what it says."""
    for pattern, cure in _CURES.items():
        if re.search(pattern, error, re.IGNORECASE):
            return cure.format(folder=folder)
    logs = folder / "ray" / "session_latest" / "logs"
    return f"Is there memory, and room in {folder}? Ray's own words are in {logs}."


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it ended at once"
