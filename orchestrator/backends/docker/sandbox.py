"""Sandboxes in Docker containers: labelled, named, limited, and removed by label."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import posixpath
import re
import secrets
import socket
import tarfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import docker
import docker.errors
import requests.exceptions
from docker.models.containers import Container

from orchestrator.backends.base import (
    MAX_OUTPUT_BYTES,
    CappedOutput,
    ClosesOnExit,
    ExecResult,
    SandboxSpec,
    drain,
)
from orchestrator.errors import PrerequisiteError, SandboxUnavailable

log = logging.getLogger(__name__)

WORKDIR = "/testbed"
LABEL = "swe-orchestrator"
ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
ENGINE_GRACE_S = 60
"""How long past a command's own limit the engine may take to say that it is over."""

# Only /root/.bashrc of official images activates the environment in which the repository is
# installed, and only for interactive shells; so what activation exports is asked for once, and
# given to every command.
ACTIVATED_ENVIRONMENT = """
if [ -f /opt/miniconda3/bin/activate ]; then
  { source /opt/miniconda3/bin/activate && conda activate testbed; } >/dev/null 2>&1 || exit 90
fi
env -0
"""

STAY = """
end=$((SECONDS + $0))
while ((SECONDS < end)); do
  sleep $((end - SECONDS)) & wait $! || (read -rt 1 <> <(:))
done
"""
"""Process 1 of a container: no signal from inside ends it, whatever an agent kills, and it reaps
what agents leave behind. A `sleep` below Docker's own init would end with the first `pkill sleep`,
and the sandbox with it. `read` is in a shell of its own, as it makes its shell handle signals, and
the kernel keeps from process 1 only those that it does not handle."""

IN_WORKDIR = f'cd {WORKDIR} 2>/dev/null || cd /; exec "$@"'
"""The engine itself refuses to run anything in a folder that an agent has removed."""


def connect(timeout_s: int = 120) -> docker.DockerClient:
    """A client of the engine that DOCKER_HOST or Docker's default names.

    Raises:
        PrerequisiteError: no engine answers.
    """
    try:
        client = docker.from_env(timeout=timeout_s)
        client.ping()
    except ENGINE_ERRORS as error:
        where = os.environ.get("DOCKER_HOST", "the default socket")
        raise PrerequisiteError(
            f"no Docker engine answers at {where} ({type(error).__name__}).",
            "Start Docker (or OrbStack), or set DOCKER_HOST; `docker info` shows whether it runs.",
        ) from None
    return client


def labels(
    run_id: str, run_dir: str, driver_host: str, instance_id: str, attempt: int, kind: str
) -> dict[str, str]:
    """Labels of everything that we start, so that it can be found without its driver."""
    return {
        LABEL: kind,
        f"{LABEL}.run": run_id,
        f"{LABEL}.run-dir": run_dir,
        f"{LABEL}.driver-host": driver_host,
        f"{LABEL}.instance": instance_id,
        f"{LABEL}.attempt": str(attempt),
    }


def container_limits(memory_gb: float, cpus: float, pids: int) -> dict[str, Any]:
    memory = int(memory_gb * 1e9)
    return {
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(cpus * 1e9),
        "pids_limit": pids,
    }


class DockerSandbox(ClosesOnExit):
    """A container of the instance's image; commands run through `docker exec`."""

    workdir = WORKDIR

    def __init__(self, container: Container, environment: dict[str, str]) -> None:
        self._container = container
        self._environment = environment

    @classmethod
    def start(cls, spec: SandboxSpec, client: docker.DockerClient | None = None) -> DockerSandbox:
        """Create and start the container of an image that is present.

        Raises:
            SandboxUnavailable: the engine refused, or the environment can't be activated.
        """
        try:
            client = client or connect()
            container = client.containers.create(
                spec.image,
                name=_container_name(spec),
                labels=labels(
                    spec.run_id,
                    spec.run_dir,
                    spec.driver_host,
                    spec.instance_id,
                    spec.attempt,
                    "rollout",
                ),
                entrypoint=["bash", "-c", STAY],
                command=[str(int(spec.lifetime_s))],
                user="root",
                working_dir=WORKDIR,
                platform=spec.platform,
                network_mode="bridge" if spec.network else "none",
                volumes=list(spec.mounts),
                auto_remove=True,
                **container_limits(spec.memory_gb, spec.cpus, spec.pids),
            )
        except (PrerequisiteError, *ENGINE_ERRORS) as error:
            raise SandboxUnavailable(f"{spec.instance_id}: {_one_line(error)}") from error
        sandbox = cls(container, dict(spec.env))
        try:
            container.start()
            sandbox._environment = sandbox._activate() | dict(spec.env)
        except BaseException as error:
            sandbox.close()
            if isinstance(error, ENGINE_ERRORS) and not isinstance(error, SandboxUnavailable):
                raise SandboxUnavailable(f"{spec.instance_id}: {_one_line(error)}") from error
            raise
        return sandbox

    def _activate(self) -> dict[str, str]:
        result = self.exec(ACTIVATED_ENVIRONMENT, timeout_s=120)
        if result.exit_code != 0:
            raise SandboxUnavailable(
                f"`conda activate testbed` failed in {self._container.name}: {result.text[-300:]}"
            )
        pairs = (entry.partition("=") for entry in result.text.split("\0") if "=" in entry)
        skip = ("PWD", "OLDPWD", "SHLVL", "_")
        return {name: value for name, _, value in pairs if name not in skip}

    def exec(
        self, command: str, timeout_s: float, *, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> ExecResult:
        # stdout and stderr would come through two pipes, in any order
        one_stream = ["bash", "-c", f"{IN_WORKDIR} 2>&1", "bash"]
        limited = ["timeout", "--signal=KILL", f"{timeout_s:.2f}", "bash", "-c", command]
        output = CappedOutput(max_bytes)
        started = time.monotonic()
        try:
            api = self._container.client.api  # type: ignore[union-attr]
            exec_id = api.exec_create(
                self._container.id,
                [*one_stream, *limited],
                workdir="/",
                environment=self._environment,
                user="root",
            )["Id"]
            stream = api.exec_start(exec_id, socket=True)
            sock = _socket_of(stream)
            frames = _Demultiplexer(output.add)
            try:
                frames.feed(_read_with_the_headers(stream, sock))
                done = drain(
                    sock.fileno(),
                    lambda: bytes(sock.recv(65536)),
                    frames.feed,
                    lambda: bool(api.exec_inspect(exec_id)["Running"]),
                    started + timeout_s + ENGINE_GRACE_S,
                )
            finally:
                stream.close()
                sock.close()
            if not done:
                raise SandboxUnavailable(f"{self._container.name}: the engine hangs on a command")
            if not frames.is_whole:
                raise SandboxUnavailable(f"{self._container.name}: a command's output was cut off")
            exit_code = self._exit_code(exec_id)
        except ENGINE_ERRORS as error:
            if isinstance(error, SandboxUnavailable):
                raise
            raise SandboxUnavailable(f"{self._container.name}: {_one_line(error)}") from error
        timed_out = exit_code == 137 and time.monotonic() - started >= timeout_s
        return ExecResult(output.value(), exit_code, timed_out)

    def _exit_code(self, exec_id: str) -> int:
        """The engine may close the stream a moment before it knows the exit code."""
        api = self._container.client.api  # type: ignore[union-attr]
        for _ in range(100):
            code = api.exec_inspect(exec_id)["ExitCode"]
            if code is not None:
                if code in (126, 137) and not self._is_alive():
                    raise SandboxUnavailable(f"{self._container.name} is gone")
                return int(code)
            time.sleep(0.05)
        raise SandboxUnavailable(f"{self._container.name}: a command ended without exit code")

    def _is_alive(self) -> bool:
        self._container.reload()
        return str(self._container.status) == "running"

    def resolve(self, path: str) -> str:
        return path

    def attach(self, command: Sequence[str]) -> _ExecStream:
        try:
            api = self._container.client.api  # type: ignore[union-attr]
            exec_id = api.exec_create(
                self._container.id,
                ["bash", "-c", IN_WORKDIR, "bash", *command],
                stdin=True,
                stderr=False,  # it would be mixed with what the program writes
                workdir="/",
                environment=self._environment,
                user="root",
            )["Id"]
            return _ExecStream(api.exec_start(exec_id, socket=True))
        except ENGINE_ERRORS as error:
            raise SandboxUnavailable(f"{self._container.name}: {_one_line(error)}") from error

    def write_file(self, path: str, data: bytes) -> None:
        full = posixpath.join(self.workdir, path)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(posixpath.basename(full))
            entry.size, entry.mode, entry.mtime = len(data), 0o755, int(time.time())
            tar.addfile(entry, io.BytesIO(data))
        try:
            self._container.put_archive(posixpath.dirname(full), archive.getvalue())
        except ENGINE_ERRORS as error:
            raise SandboxUnavailable(f"{self._container.name}: {_one_line(error)}") from error

    def close(self) -> None:
        remove_container(self._container)


def remove_container(container: Container) -> bool:
    """Kill and remove; one that is already gone, or going, is as good. Returns whether it is."""
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if "already in progress" not in str(error):
            log.warning("container %s could not be removed: %s", container.name, _one_line(error))
            return False
    except ENGINE_ERRORS as error:
        log.warning("container %s could not be removed: %s", container.name, _one_line(error))
        return False
    return True


class _ExecStream:
    """Standard input and output of a `docker exec`; implements `base.Stream`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._socket = _socket_of(stream)
        self._socket.settimeout(None)
        self._arrived = bytearray()
        self._frames = _Demultiplexer(self._arrived.extend)
        try:
            self._frames.feed(_read_with_the_headers(stream, self._socket))
        except OSError:  # the sandbox is going at this moment
            self.close()
            raise

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self) -> bytes:
        while not self._arrived:
            data = self._socket.recv(65536)
            if not data:
                return b""
            self._frames.feed(data)
        found = bytes(self._arrived)
        self._arrived.clear()
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        self._socket.close()


def _socket_of(stream: Any) -> socket.socket:
    """The SDK hands out a file on the socket, or the socket itself."""
    found: socket.socket = getattr(stream, "_sock", stream)
    return found


def _read_with_the_headers(stream: Any, sock: socket.socket) -> bytes:
    """Output that came in one piece with the HTTP headers.

    The SDK parses those through a buffered reader and then hands out the socket below it; what the
    reader has in its buffer would be lost.
    """
    response = getattr(stream, "_response", None)
    if response is None:
        return b""
    reader = response.raw._fp.fp
    timeout = sock.gettimeout()
    sock.setblocking(False)
    try:
        return bytes(reader.peek())
    finally:
        sock.settimeout(timeout)


class _Demultiplexer:
    """Docker's stream without a terminal: frames of kind, 3 zeros, big-endian size (4), data."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._buffer = bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether no frame is left half read."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[4:8], "big")
            if len(self._buffer) < 8 + size:
                return
            self._sink(bytes(self._buffer[8 : 8 + size]))
            del self._buffer[: 8 + size]


def _container_name(spec: SandboxSpec) -> str:
    readable = re.sub(r"[^a-zA-Z0-9_.-]+", "-", f"{spec.run_id}.{spec.instance_id}.{spec.attempt}")
    return f"swe-orchestrator.{readable}.{secrets.token_hex(3)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
