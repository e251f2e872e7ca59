"""A backend as somebody else would write it: folders below the system's temporary one.

It knows the protocol, and nothing of how ours are made. Named `support.strangers_backend:
FolderBackend`, it is a kind of sandbox like any other, and no file of the package says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil

from orchestrator.backends.base import (
    MAX_OUTPUT_BYTES,
    Cleaned,
    ExecResult,
    GradeRequest,
    SandboxSpec,
    require_tools,
)
from orchestrator.backends.commands import refusal
from orchestrator.backends.grading import grade_in_sandbox
from orchestrator.backends.host import Host
from orchestrator.backends.imageless import NeedsNoImages
from orchestrator.backends.images import PullStep
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.errors import ConfigError, SandboxUnavailable
from orchestrator.host_id import is_this_hosts
from orchestrator.images.pulls import Quota
from orchestrator.types import GradeResult, Instance, RolloutKey

MARK = "STRANGERS_BOX"
"""Environment variable of all that runs in a box: the box."""


class FolderBackend(NeedsNoImages):
    """Boxes lie in one folder for all runs; a label in each says whose it is."""

    isolates: ClassVar[bool] = False
    leftovers: ClassVar[tuple[str, ...]] = ("boxes",)

    def host(self, settings: SandboxSettings) -> Host:
        require_tools("bash", "git", "patch")
        return Host(settings.kind, 8.0, 2, "toy 1", self.isolates, settings.platform)

    def require_runnable(self, instances: Sequence[Instance]) -> None:
        if not all(instance.task_dir for instance in instances):
            raise ConfigError("boxes are for instances of task repos")

    def start(self, spec: SandboxSpec) -> Box:
        return Box(spec)

    def grade(self, request: GradeRequest) -> GradeResult:
        return grade_in_sandbox(request, Box, lambda box: box.places)

    def find_run_dirs(self, runs_dir: Path) -> Iterator[Path]:
        yield from {Path(label["run_dir"]) for _, label in boxes() if is_this_hosts(label["host"])}

    def clean(self, run_dir: Path, key: RolloutKey | None = None) -> Cleaned:
        wanted = [key.instance_id, key.attempt] if key else None
        found = [
            box
            for box, label in boxes()
            if Path(label["run_dir"]) == run_dir and wanted in (None, label["of"])
        ]
        for box in found:
            remove(box)
        return Cleaned({"boxes": len(found)})


class EmulatedFolderBackend(FolderBackend):
    """Its boxes are as fast as the others; it says that their processors are emulated."""

    def host(self, settings: SandboxSettings) -> Host:
        return replace(super().host(settings), architecture="linux/riscv64")


class PullingBackend(FolderBackend):
    """Every instance's image is afar, and takes two seconds to come: a file in a folder that the
    cluster's description names says that it came."""

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        return tuple(instance.image for instance in instances)

    def needs_pull(self, instance: Instance, cluster: Cluster) -> bool:
        return not (Path(cluster.description) / "came").exists()

    def pull_image(self, name: str, cluster: Cluster) -> Iterator[PullStep]:
        for number in range(200):
            time.sleep(0.01)
            yield PullStep(number // 2)
        (Path(cluster.description) / "came").touch()
        yield PullStep(100, 280, "sha256:d")

    def free_for_images_gb(self, cluster: Cluster) -> float | None:
        return 42.0

    def pull_quota(self, registry: str) -> Quota | None:
        return Quota(100, 7, 21600.0)


class Box:
    """One folder: a label, a repository, an environment."""

    def __init__(self, spec: SandboxSpec) -> None:
        task = Path(spec.task_dir or "/nowhere")
        all_boxes().mkdir(exist_ok=True)
        self._root = Path(tempfile.mkdtemp(dir=all_boxes()))
        self._mounts = [mount.split(":")[:2] for mount in spec.mounts]
        self.image = ""
        self.workdir = str(self._root / "testbed")
        conda = str(self._root / "conda")
        self.places = {"/opt/miniconda3": conda, "/testbed": self.workdir}
        for name in ("home", "tmp"):
            (self._root / name).mkdir()
        label = {
            "host": spec.driver_host,
            "run_dir": spec.run_dir,
            "of": [spec.key.instance_id, spec.key.attempt],
        }
        (self._root / "label.json").write_text(json.dumps(label))
        self._env = {
            "PATH": f"{conda}/envs/testbed/bin:{conda}/bin:/usr/local/bin:/usr/bin:/bin",
            "CONDA_DEFAULT_ENV": "testbed",
            "HOME": str(self._root / "home"),
            "TMPDIR": str(self._root / "tmp"),
            "LANG": "C.UTF-8",
            "GIT_CEILING_DIRECTORIES": str(self._root),
            MARK: str(self._root),
            **spec.env,
        }
        build = ["bash", task / "build.sh", task / "repo", self.workdir, conda, spec.base_commit]
        # what it links to is the interpreter that is first on PATH
        env = self._env | {"PATH": os.environ["PATH"]}
        done = subprocess.run(build, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            self.close()
            raise SandboxUnavailable(f"{spec.key.instance_id}: {done.stderr[-300:]}")

    def patience(self, seconds: float) -> float:
        return seconds

    def exec(
        self, command: str, timeout_s: float, *, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> ExecResult:
        if (refused := refusal(command)) is not None:
            return refused
        # by a file, as an argument may not be of any length
        with tempfile.TemporaryFile() as printed, tempfile.NamedTemporaryFile() as script:
            script.write(command.encode())
            script.flush()
            process = self._popen(
                ["bash", script.name],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(timeout_s)
                timed_out = False
            except subprocess.TimeoutExpired:
                kill_group(process)
                timed_out = True
            printed.seek(0)
            output = printed.read()
        if len(output) > max_bytes:
            half, left_out = max_bytes // 2, len(output) - max_bytes
            gap = f"\n[{left_out} bytes left out]\n".encode()
            output = output[:half] + gap + output[-half:]
        return ExecResult(output, process.returncode, timed_out)

    def resolve(self, path: str) -> str:
        for host, target in self._mounts:
            if path == target or path.startswith(f"{target}/"):
                return host + path[len(target) :]
        return path

    def attach(self, command: Sequence[str]) -> Line:
        # not one pair for both: a program that makes its input non-blocking would its output too
        (to_it, its_input), (from_it, its_output) = socket.socketpair(), socket.socketpair()
        try:
            with its_input, its_output:
                process = self._popen(
                    command, stdin=its_input, stdout=its_output, stderr=subprocess.DEVNULL
                )
        except BaseException:
            to_it.close()
            from_it.close()
            raise
        return Line(to_it, from_it, process)

    def write_file(self, path: str, data: bytes) -> None:
        try:
            Path(self.workdir, path).write_bytes(data)
            Path(self.workdir, path).chmod(0o755)
        except OSError as error:
            raise SandboxUnavailable(str(error)) from error

    def renew(self, keep: Sequence[str] = ()) -> None:
        if not self._root.is_dir():
            raise SandboxUnavailable("the box is gone")
        kill_all_of(self._root)

    def close(self) -> None:
        remove(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _popen(self, command: Sequence[str], **files: Any) -> subprocess.Popen[bytes]:
        cwd = self.workdir if Path(self.workdir).is_dir() else self._env["HOME"]
        try:
            return subprocess.Popen(
                command, cwd=cwd, env=self._env, start_new_session=True, **files
            )
        except OSError as error:
            raise SandboxUnavailable(str(error)) from error


class Line:
    """Both ends of a program, each a socket."""

    def __init__(
        self, to_it: socket.socket, from_it: socket.socket, process: subprocess.Popen[bytes]
    ) -> None:
        self._to_it, self._from_it, self._process = to_it, from_it, process

    def write(self, data: bytes) -> None:
        self._to_it.sendall(data)

    def read(self) -> bytes:
        return self._from_it.recv(65536)

    def close(self) -> None:
        for end in (self._to_it, self._from_it):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        kill_group(self._process)


def all_boxes() -> Path:
    return Path(tempfile.gettempdir()).resolve() / f"strangers-boxes-{os.getuid()}"


def boxes() -> Iterator[tuple[Path, dict[str, Any]]]:
    for label in all_boxes().glob("*/label.json"):
        with contextlib.suppress(FileNotFoundError):  # it is going
            yield label.parent, json.loads(label.read_text())


def kill_all_of(box: Path) -> None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(box):
                process.kill()


def remove(box: Path) -> None:
    kill_all_of(box)
    subprocess.run(["chmod", "-R", "u+rwX", str(box)], stderr=subprocess.DEVNULL)
    shutil.rmtree(box, ignore_errors=True)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
