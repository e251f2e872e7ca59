"""Sandboxes that are a temporary copy and child processes. They isolate nothing.

For the bundled benchmarks where there is no engine, and for what a person asks for by name. The
task's own build.sh lays the copy out as its image would be, at another place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.backends.base import MAX_OUTPUT_BYTES, ClosesOnExit, ExecResult, SandboxSpec
from orchestrator.backends.commands import is_long, refusal
from orchestrator.backends.output import CappedOutput, drain
from orchestrator.backends.process.processes import MARKER, kill_processes_of, start_session
from orchestrator.errors import SandboxUnavailable
from orchestrator.paths import RunPaths, folder_name

BUILD_TIMEOUT_S = 120


class ProcessSandbox(ClosesOnExit):
    """A copy of the task's repository under the run's scratch folder."""

    def __init__(
        self, root: Path, memory_gb: float, env: dict[str, str], mounts: tuple[str, ...] = ()
    ) -> None:
        self.image = ""
        self._root = root
        self._mounts = mounts
        self._memory_kb = int(memory_gb * 1e6)
        self.workdir = str(root / "testbed")
        conda = str(root / "miniconda3")
        self.places = {"/opt/miniconda3": conda, "/testbed": self.workdir}
        """Where it has what an image has elsewhere."""
        testbed = root / "miniconda3" / "envs" / "testbed"
        self._environment = {
            "PATH": f"{testbed}/bin:{conda}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "CONDA_PREFIX": str(testbed),
            "CONDA_DEFAULT_ENV": "testbed",
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "LANG": "C.UTF-8",
            # a copy whose .git an agent removed must not find the repository around the runs folder
            "GIT_CEILING_DIRECTORIES": str(root),
            MARKER: str(root),
            **env,
        }

    @classmethod
    def start(cls, spec: SandboxSpec) -> ProcessSandbox:
        """Copy and lay out the task.

        Raises:
            SandboxUnavailable: the instance comes from no task repo, or its build.sh failed.
        """
        task = Path(spec.task_dir) if spec.task_dir else None
        if task is None or not (task / "build.sh").is_file():
            raise SandboxUnavailable(
                f"{spec.key.instance_id}: a process sandbox needs a task folder with a build.sh"
            )
        scratch = RunPaths(Path(spec.run_dir).resolve()).scratch
        name = folder_name(spec.key.instance_id)
        root = scratch / f"{name}.{spec.key.attempt}.{secrets.token_hex(3)}"
        sandbox = cls(root, spec.memory_gb, dict(spec.env), spec.mounts)
        try:
            for folder in (root, root / "home", root / "tmp"):
                folder.mkdir(parents=True, exist_ok=True)
            build = [
                "bash",
                str(task / "build.sh"),
                str(task / "repo"),
                sandbox.workdir,
                sandbox.places["/opt/miniconda3"],
                spec.base_commit,
            ]
            problem = _build(root, build)
            if problem is not None:
                raise SandboxUnavailable(f"{spec.key.instance_id}: build.sh: {problem}")
        except (OSError, subprocess.SubprocessError) as error:
            sandbox.close()
            raise SandboxUnavailable(f"{spec.key.instance_id}: {error}") from error
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def patience(self, seconds: float) -> float:
        return seconds  # it runs the host's own programs

    @property
    def _cwd(self) -> str:
        """Nothing can be run in a folder that an agent has removed. The other one lies below what
        GIT_CEILING_DIRECTORIES names: git finds no repository from there."""
        return self.workdir if os.path.isdir(self.workdir) else self._environment["HOME"]

    def exec(
        self, command: str, timeout_s: float, *, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> ExecResult:
        if (refused := refusal(command)) is not None:
            return refused
        output = CappedOutput(max_bytes)
        deadline = time.monotonic() + timeout_s
        try:
            process = self._start_shell(command)
        except OSError as error:
            raise SandboxUnavailable(f"{self._root.name}: {error}") from error
        assert process.stdout is not None
        with process.stdout as stream:
            fd = stream.fileno()
            done = drain(
                fd,
                lambda: os.read(fd, 65536),
                output.add,
                lambda: process.poll() is None,
                deadline,
            )
            # a command may close its output and work on
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(deadline - time.monotonic(), 0.1) if done else 0.1)
            timed_out = process.returncode is None
            if timed_out:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return ExecResult(output.value(), process.returncode, timed_out)

    def _start_shell(self, command: str) -> subprocess.Popen[bytes]:
        """Raises OSError."""
        # macOS knows no limit on address space; there the limit is not set
        limited = f'ulimit -Sv {self._memory_kb} 2>/dev/null; exec bash "$@"'
        with contextlib.ExitStack() as stack:
            given, files = ["-c", "--", command], []
            if is_long(command):
                script = stack.enter_context(tempfile.TemporaryFile())
                script.write(command.encode())
                script.seek(0)
                given, files = [f"/dev/fd/{script.fileno()}"], [script.fileno()]
            return start_session(
                self._root,
                ["bash", "-c", limited, "bash", *given],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._environment,
                pass_fds=files,
            )

    def resolve(self, path: str) -> str:
        for mount in self._mounts:
            host, target = mount.split(":")[:2]
            if path == target or path.startswith(f"{target}/"):
                return host + path[len(target) :]
        return path

    def attach(self, command: Sequence[str]) -> _PipeStream:
        try:
            process = start_session(
                self._root,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._cwd,
                env=self._environment,
            )
        except OSError as error:
            raise SandboxUnavailable(f"{self._root.name}: {error}") from error
        return _PipeStream(process)

    def write_file(self, path: str, data: bytes) -> None:
        full = Path(self.workdir, path)
        try:
            full.write_bytes(data)
            full.chmod(0o755)
        except OSError as error:
            raise SandboxUnavailable(f"{self._root.name}: {error}") from error

    def renew(self, keep: Sequence[str] = ()) -> None:
        """The tools are the host's: no command has changed them."""
        if not self._root.is_dir():
            raise SandboxUnavailable(f"{self._root.name} is gone")
        kill_processes_of(self._root)

    def close(self) -> None:
        kill_processes_of(self._root)
        remove_tree(self._root)


class _PipeStream:
    """Standard input and output of a child; implements `base.Stream`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout

    def write(self, data: bytes) -> None:
        try:
            self._input.write(data)
            self._input.flush()
        except ValueError as error:  # closed
            raise BrokenPipeError(str(error)) from error

    def read(self) -> bytes:
        try:
            return os.read(self._output.fileno(), 65536)
        except ValueError:  # closed meanwhile
            return b""

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            self._input.close()
        self._output.close()


def _folders_of(path: Path) -> Iterator[Path]:
    """It and the folders below, each before one looks into it; what links lead to is not ours."""
    yield path
    for folder, names, _ in os.walk(path):
        yield from (inner for name in names if not (inner := Path(folder, name)).is_symlink())


def remove_tree(path: Path) -> None:
    """Delete a folder even where an agent took permissions from folders in it."""
    shutil.rmtree(path, ignore_errors=True)
    for folder in _folders_of(path):
        with contextlib.suppress(OSError):
            folder.chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def _build(root: Path, command: Sequence[str]) -> str | None:
    """Lay a copy out; what went wrong. Raises OSError, or TimeoutExpired."""
    with start_session(
        root,
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_build_environment(root),
    ) as process:
        try:
            _, stderr = process.communicate(timeout=BUILD_TIMEOUT_S)
        except BaseException:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return None if process.returncode == 0 else stderr.decode("utf-8", "replace").strip()[-300:]


def _build_environment(root: Path) -> dict[str, str]:
    keep = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
    inherited = {name: os.environ[name] for name in keep if name in os.environ}
    return {**inherited, "HOME": str(root / "home"), "TMPDIR": str(root / "tmp"), MARKER: str(root)}
