"""Sandboxes in Docker containers: labelled, named, limited, and removed by label."""

from __future__ import annotations

import contextlib
import io
import posixpath
import re
import secrets
import shlex
import tarfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import docker
import docker.errors
from docker.models.containers import Container
from docker.types import Mount

from orchestrator.backends.base import MAX_OUTPUT_BYTES, ClosesOnExit, ExecResult, SandboxSpec
from orchestrator.backends.commands import is_long, refusal
from orchestrator.backends.docker.activation import activated_environment
from orchestrator.backends.docker.engine import (
    ENGINE_ERRORS,
    connect,
    error_words,
    labels,
    remove_container,
)
from orchestrator.backends.docker.images import identity
from orchestrator.backends.docker.streams import WAIT_FOR_GO, ExecStream, read_output
from orchestrator.backends.output import CappedOutput
from orchestrator.errors import PrerequisiteError, SandboxBroken, SandboxUnavailable

WORKDIR = "/testbed"
KILLED = 137
MAX_REPOSITORY_BYTES = 10 * 10**9
ACTIVATION_S = 120
REMOVAL_S = 60
ENGINE_GRACE_S = 60
"""How long past a command's own limit the engine may take to say that it is over."""

STAY = """
trap '' {1..64} 2>/dev/null; trap - CHLD
end=$((SECONDS + $0))
while ((SECONDS < end)); do
  sleep $((end - SECONDS)) & wait $! || (read -rt 1 <> <(:))
done
"""
"""Process 1 of a container: no signal from inside ends it, whatever an agent kills, and it reaps
what agents leave behind. A `sleep` below Docker's own init would end with the first `pkill sleep`,
and the sandbox with it. It ignores all signals but those of its children's ends. Natively the
kernel would keep from process 1 those that it does not handle; under emulation qemu handles them,
and is left wedged or dead. `read` is in a shell of its own, as it makes its shell handle them."""

KILL_ALL = ["bash", "-c", "kill -KILL -1"]
KILL_ALL_S = 30
CAN_NOT_FREEZE = "unable to freeze"
FREEZE_AGAIN_S = (0.2, 1.0, 3.0)

IN_WORKDIR = f'cd {WORKDIR} 2>/dev/null || cd /; exec "$@"'
"""The engine itself refuses to run anything in a folder that an agent has removed."""

FROM_FILE = 'exec {script}<"$0" && rm -f "$0" && exec bash "/dev/fd/$script"'
"""Runs a file, which is gone by then: no agent sees it."""


def stay(lifetime_s: float) -> list[str]:
    """The command of process 1 in a container that lives for so long, and does nothing."""
    return ["bash", "-c", STAY, str(int(lifetime_s))]


def bind_mounts(mounts: Sequence[str]) -> list[Mount]:
    """Mounts as the engine takes them. Of a source that is not there it makes no folder, as it does
    with `-v`: it refuses."""
    parts = [mount.split(":") for mount in mounts]
    return [
        Mount(target, source, type="bind", read_only=mode == ["ro"])
        for source, target, *mode in parts
    ]


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

    def __init__(self, container: Container, spec: SandboxSpec) -> None:
        self.image = ""
        self._container = container
        self._spec = spec
        self._environment = dict(spec.env)

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
                labels=labels(spec, "rollout"),
                entrypoint=stay(spec.lifetime_s),
                stop_signal="SIGKILL",  # it ignores others
                user="root",
                working_dir=WORKDIR,
                platform=spec.platform,
                network_mode="bridge" if spec.network else "none",
                mounts=bind_mounts(spec.mounts),
                auto_remove=True,
                use_config_proxy=spec.network,  # config.json's; without a way out they mislead
                **container_limits(spec.memory_gb, spec.cpus, spec.pids),
            )
        except (PrerequisiteError, *ENGINE_ERRORS) as error:
            raise SandboxUnavailable(f"{spec.key.instance_id}: {error_words(error)}") from error
        sandbox = cls(container, spec)
        try:
            container.start()
            sandbox.image = identity(client, str(container.attrs["Image"]), spec.image)
            sandbox._activate(container.attrs)
        except BaseException as error:
            sandbox.close()
            if isinstance(error, ENGINE_ERRORS):
                raise SandboxUnavailable(f"{spec.key.instance_id}: {error_words(error)}") from error
            raise
        return sandbox

    def patience(self, seconds: float) -> float:
        return self._spec.patience(seconds)

    def _activate(self, container: Mapping[str, Any]) -> None:
        def run(command: str) -> ExecResult:
            return self.exec(command, self.patience(ACTIVATION_S))

        activated = activated_environment(container, self._spec, run)
        self._environment = activated | dict(self._spec.env)

    def exec(
        self, command: str, timeout_s: float, *, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> ExecResult:
        if (refused := refusal(command)) is not None:
            return refused
        given = ["-c", "--", command]
        if is_long(command):
            path = f"/.swe-orchestrator.{secrets.token_hex(8)}"  # agents clean up elsewhere
            self.write_file(path, command.encode())
            given = ["-c", FROM_FILE, path]
        # stdout and stderr would come through two pipes, in any order
        one_stream = ["bash", "-c", f"{IN_WORKDIR} 2>&1", "bash"]
        limited = ["timeout", "--signal=KILL", f"{timeout_s:.2f}", "bash", *given]
        output = CappedOutput(max_bytes)
        grace_s, kill_s = self.patience(ENGINE_GRACE_S), self.patience(KILL_ALL_S)
        started = time.monotonic()
        try:
            exit_code = self._run([*one_stream, *limited], output, timeout_s + grace_s)
            # what stops all processes stops `timeout` too
            if exit_code is None and self._run(KILL_ALL, CappedOutput(0), kill_s) is None:
                raise SandboxUnavailable(f"{self._container.name}: the engine hangs on a command")
        except ENGINE_ERRORS as error:
            raise SandboxUnavailable(f"{self._container.name}: {error_words(error)}") from error
        if exit_code is None:
            exit_code = KILLED
        timed_out = exit_code == KILLED and time.monotonic() - started >= timeout_s
        return ExecResult(output.value(), exit_code, timed_out)

    def _run(self, command: list[str], output: CappedOutput, patience_s: float) -> int | None:
        """Run a program and read what it prints. Returns its exit code; None where it is not over
        in time. Raises one of ENGINE_ERRORS, or SandboxUnavailable."""
        exec_id = self._api.exec_create(
            self._container.id,
            command,
            workdir="/",
            environment=self._environment,
            user="root",
        )["Id"]
        if not read_output(self._api, exec_id, output.add, time.monotonic() + patience_s):
            return None
        return self._exit_code(exec_id)

    @property
    def _api(self) -> Any:
        return self._container.client.api  # type: ignore[union-attr]

    def _exit_code(self, exec_id: str) -> int:
        """The engine may close the stream a moment before it knows the exit code."""
        for _ in range(100):
            code = self._api.exec_inspect(exec_id)["ExitCode"]
            if code is not None:
                if code in (126, KILLED) and not self._is_alive():
                    raise SandboxUnavailable(f"{self._container.name} is gone")
                return int(code)
            time.sleep(0.05)
        raise SandboxUnavailable(f"{self._container.name}: a command ended without exit code")

    def _is_alive(self) -> bool:
        self._container.reload()
        return str(self._container.status) == "running"

    def resolve(self, path: str) -> str:
        return path

    def attach(self, command: Sequence[str]) -> ExecStream:
        try:
            exec_id = self._api.exec_create(
                self._container.id,
                ["bash", "-c", f"{WAIT_FOR_GO}; {IN_WORKDIR}", "bash", *command],
                stdin=True,
                stderr=False,  # it would be mixed with what the program writes
                workdir="/",
                environment=self._environment,
                user="root",
            )["Id"]
            return ExecStream(self._api, exec_id)
        except ENGINE_ERRORS as error:
            raise SandboxUnavailable(f"{self._container.name}: {error_words(error)}") from error

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
            raise SandboxUnavailable(f"{self._container.name}: {error_words(error)}") from error

    def renew(self, keep: Sequence[str] = ()) -> None:
        """Go on in another container of the image, with the repository of this one.

        A command in this one may not start any more: no process is left to it, or its bash is gone.
        So it is frozen, and the engine reads the repository from outside.
        """
        old = self._container
        try:
            _freeze(old)
            fresh = DockerSandbox.start(self._spec)
        except ENGINE_ERRORS as error:
            raise SandboxUnavailable(f"{old.name}: {error_words(error)}") from error
        try:
            for path in (WORKDIR, *keep):
                limit_s = fresh.patience(REMOVAL_S)
                fresh.exec(f"cd / && rm -rf {shlex.quote(path)}", limit_s)
                with contextlib.suppress(docker.errors.NotFound):  # then there is none
                    archive, _ = old.get_archive(path)
                    # else the engine goes on reading, and can't remove it meanwhile
                    with contextlib.closing(cast("Generator[bytes]", archive)):
                        folder = posixpath.dirname(path)
                        fresh._container.put_archive(folder, _capped(archive, old.name))
        except BaseException as error:
            fresh.close()
            if isinstance(error, ENGINE_ERRORS):
                raise SandboxUnavailable(f"{old.name}: {error_words(error)}") from error
            raise
        self._container, self._environment = fresh._container, fresh._environment
        remove_container(old)

    def close(self) -> None:
        remove_container(self._container)


def _freeze(container: Container) -> None:
    """Stop all that runs in it. Where more and more is started meanwhile, the system may give up,
    and succeeds a moment later. Raises ENGINE_ERRORS."""
    for wait_s in FREEZE_AGAIN_S:
        try:
            container.pause()
            return
        except docker.errors.APIError as error:
            if CAN_NOT_FREEZE not in str(error):
                raise
        time.sleep(wait_s)
    container.pause()


def _capped(archive: Iterable[bytes], name: str | None) -> Iterator[bytes]:
    """Raises SandboxBroken once it is larger than any repository: holes in files fill a disk where
    they are copied."""
    size = 0
    for chunk in archive:
        size += len(chunk)
        if size > MAX_REPOSITORY_BYTES:
            raise SandboxBroken(
                f"{name}: over {MAX_REPOSITORY_BYTES // 10**9} GB lie in the repository's folder"
            )
        yield chunk


def _container_name(spec: SandboxSpec) -> str:
    key = spec.key
    readable = re.sub(r"[^a-zA-Z0-9_.-]+", "-", f"{key.run_id}.{key.instance_id}.{key.attempt}")
    return f"swe-orchestrator.{readable}.{secrets.token_hex(3)}"
