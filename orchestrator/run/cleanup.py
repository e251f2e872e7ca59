"""Finding and removing what dead runs left: containers by label, processes and copies by folder.

A run is dead when nobody holds the lock on its driver.lock. Containers of a driver on another host
are left alone, and so is everything without our labels.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import psutil

from orchestrator.errors import PrerequisiteError
from orchestrator.paths import RunPaths
from orchestrator.types import RolloutKey


@dataclass(frozen=True)
class Cleaned:
    """How much was removed."""

    containers: int = 0
    processes: int = 0
    copies: int = 0

    def __bool__(self) -> bool:
        return bool(self.containers or self.processes or self.copies)

    def __add__(self, other: Cleaned) -> Cleaned:
        return Cleaned(
            self.containers + other.containers,
            self.processes + other.processes,
            self.copies + other.copies,
        )

    def __str__(self) -> str:
        return f"{self.containers} containers, {self.processes} processes, {self.copies} copies"


@contextmanager
def hold_driver_lock(paths: RunPaths) -> Iterator[None]:
    """Be the run's one driver. The lock ends with the process, however it ends.

    Raises:
        PrerequisiteError: another driver is at work on this run.
    """
    with open(paths.driver_lock, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise PrerequisiteError(
                f"run {paths.run_id} is live (driver {file.read().strip() or 'unknown'}).",
                "Wait for it, or stop it with Ctrl-C where it runs.",
            ) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def is_live(run_dir: Path) -> bool:
    """Whether a driver on this host holds the run."""
    try:
        with open(run_dir / "driver.lock", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # held, or somebody else's: not ours to judge
    return False


def clean_dead_runs(runs_dir: Path, client: docker.DockerClient | None) -> Cleaned:
    """Remove what the dead runs of this host left, in Docker and under `runs_dir`."""
    cleaned = Cleaned()
    if client is not None:
        cleaned += Cleaned(containers=_remove_containers(client, run_dir=None))
    for run_dir in sorted(runs_dir.glob("*/")):
        if not is_live(run_dir):
            paths = RunPaths(run_dir.resolve())
            cleaned += _clean_scratch(paths) + _clean_ray(paths)
    return cleaned


def clean_run(paths: RunPaths, client: docker.DockerClient | None) -> Cleaned:
    """Remove what one run left; the caller holds its lock, or knows that it is dead."""
    cleaned = _clean_scratch(paths) + _clean_ray(paths)
    if client is not None:
        cleaned += Cleaned(containers=_remove_containers(client, run_dir=paths.root))
    return cleaned


def clean_attempt(paths: RunPaths, client: docker.DockerClient | None, key: RolloutKey) -> None:
    """Remove what one rollout or grade left whose worker died: it holds memory, or a disk."""
    from orchestrator.backends.process.sandbox import kill_processes_of, remove_tree

    for copy in paths.scratch.glob(f"{key.instance_id}.{key.attempt}.*"):
        kill_processes_of(copy)
        remove_tree(copy)
    if client is not None:
        _remove_containers(
            client, paths.root, {"instance": key.instance_id, "attempt": str(key.attempt)}
        )


def _remove_containers(
    client: docker.DockerClient, run_dir: Path | None, only: Mapping[str, str] | None = None
) -> int:
    from orchestrator.backends.docker.sandbox import ENGINE_ERRORS, LABEL, remove_container

    removed = 0
    try:
        found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    except ENGINE_ERRORS as error:
        raise PrerequisiteError(
            f"the Docker engine can't list its containers ({type(error).__name__}).",
            "Check `docker ps`.",
        ) from error
    for container in found:
        if container.labels.get(f"{LABEL}.driver-host") != socket.gethostname():
            continue
        owner = Path(container.labels.get(f"{LABEL}.run-dir", ""))
        mine = owner == run_dir if run_dir is not None else not is_live(owner)
        wanted = all(container.labels.get(f"{LABEL}.{k}") == v for k, v in (only or {}).items())
        if mine and wanted:
            removed += remove_container(container)
    return removed


def _clean_ray(paths: RunPaths) -> Cleaned:
    """Ray's processes of a dead driver. On Linux they end with it; on macOS nothing ends them."""
    try:
        session = paths.ray_session.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return Cleaned()
    killed = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if session and any(session in word for word in process.cmdline()):
                process.kill()
                killed += 1
    paths.ray_session.unlink(missing_ok=True)
    return Cleaned(processes=killed)


def _clean_scratch(paths: RunPaths) -> Cleaned:
    from orchestrator.backends.process.sandbox import kill_processes_of, remove_tree

    if not paths.scratch.is_dir():
        return Cleaned()
    processes = kill_processes_of(paths.scratch)
    copies = [path for path in paths.scratch.iterdir() if path.is_dir()]
    for copy in copies:
        remove_tree(copy)
    with contextlib.suppress(OSError):
        paths.scratch.rmdir()
    return Cleaned(processes=processes, copies=len(copies))
