"""This host: disks, files, Ray."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from orchestrator.backends import Place
from orchestrator.config.sections import AUTO
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.driver.leftovers import find_leftovers
from orchestrator.driver.local_ray import OBJECT_STORE_BYTES, require_ray, temporary_folder
from orchestrator.driver.this_host import free_disk_gb, nearest_folder
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.host_id import host_id
from orchestrator.plugins import BACKENDS

CA_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where systems have the certificates that they trust: macOS first, then Linux's families."""

RAY_GB = 0.2
"""For its sockets and logs of a night."""
SHARED_MEMORY = Path("/dev/shm")
"""Linux's; a Mac's Ray takes a file."""

FILE_SUFFIXES = (
    *(".cer", ".crt", ".key", ".pem"),
    *(".cfg", ".conf", ".env", ".ini", ".json", ".toml", ".txt", ".yaml", ".yml"),
    *(".py", ".sh"),
)
"""Of what people mount that is a file. Folders have dots in their names too, such as v1.2."""


class RunsDisk(Check):
    """The runs' disk has less free than a run wants to start."""

    name = "runs' disk"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        folder = nearest_folder(case.run_dir)
        free_gb, wanted_gb = free_disk_gb(folder), case.config.cluster.min_free_disk_gb
        if free_gb < wanted_gb:
            raise PrerequisiteError(
                f"{folder} has {free_gb:.2f} GB free, less than "
                f"{wanted_gb:g} (cluster.min_free_disk_gb).",
                "Free some space, or choose another --runs-dir.",
            )
        if not os.access(folder, os.W_OK):
            raise PrerequisiteError(f"{folder} can't be written.", "Choose another --runs-dir.")
        yield passed(f"{free_gb:.0f} GB free at {folder}")


class RayCluster(Check):
    """It is clear before the night that Ray can't start, or that nothing can be joined."""

    name = "Ray"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        address = case.config.cluster.ray_address
        require_ray(address)
        if address:
            yield passed(f"answers at {address}")
            return
        folder = temporary_folder()
        require_room_for_ray(folder, free_disk_gb(folder))
        yield passed(
            f"{version('ray')}, one of the run's own; {free_disk_gb(folder):.0f} GB free for its "
            f"files at {folder}"
        )


def require_room_for_ray(folder: Path, free_gb: float) -> None:
    """Raises PrerequisiteError where Ray can't keep its sockets and logs."""
    cure = "Make room there, or set RAY_TMPDIR to another folder, with a short name."
    if not os.access(nearest_folder(folder), os.W_OK):
        raise PrerequisiteError(f"Ray keeps its files in {folder}, which can't be written.", cure)
    if free_gb < RAY_GB:
        raise PrerequisiteError(
            f"Ray keeps its files in {folder}, where {free_gb:.2f} GB are free.", cure
        )


class SharedMemory(Check):
    """Ray's objects have less shared memory than they are given: they go to a disk then."""

    name = "shared memory"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work and SHARED_MEMORY.is_dir() and not case.config.cluster.ray_address

    def look(self, case: Case) -> Iterator[CheckFinding]:
        yield judge_shared_memory(free_disk_gb(SHARED_MEMORY))


def judge_shared_memory(free_gb: float) -> CheckFinding:
    wanted_gb = OBJECT_STORE_BYTES / 1e9
    if free_gb < wanted_gb:
        return warned(
            f"{SHARED_MEMORY} has {free_gb:.2f} GB free, and Ray wants {wanted_gb:.1f}: it takes a "
            "disk instead",
            "Free some of it; in a container, start that with `--shm-size=1g`.",
        )
    return passed(f"{free_gb:.1f} GB free at {SHARED_MEMORY}, {wanted_gb:.1f} wanted")


class DeadRuns(Check):
    """Runs that are over, killed, left something here. Those that go on are told."""

    name = "other runs"
    depth = Depth.DOCTOR

    def look(self, case: Case) -> Iterator[CheckFinding]:
        left = find_leftovers(Path(case.config.runs_dir), _kinds(case))
        for run_dir, things in left.dead.items():
            yield warned(
                f"{run_dir.name}, which nobody drives, left {' and '.join(things)} here",
                f"python -m orchestrator clean --runs-dir {shlex.quote(str(run_dir.parent))}",
            )
        if left.live:
            names = ", ".join(run_dir.name for run_dir in left.live)
            yield passed(f"{names} goes on here, and takes memory and cores beside another")
        elif not left.dead:
            yield passed("none goes on here, and none left anything")


def _kinds(case: Case) -> tuple[str, ...]:
    """Ours, and the one that is asked for."""
    kind = case.config.cluster.sandbox.kind
    return tuple(dict.fromkeys((*BACKENDS, *(() if kind == AUTO else (kind,)))))


class HostName(Check):
    """This host has an id by which its own leftovers are found, and can keep it."""

    name = "host id"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        yield passed(host_id())


class Mounts(Check):
    """A source of `cluster.sandbox.mounts` is not on this system.

    An engine elsewhere has other files: there `Backend.check` asks it.
    """

    name = "mounts"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        has_some = case.has_work and bool(case.config.cluster.sandbox.mounts)
        return has_some and case.host.place is not Place.ELSEWHERE

    def look(self, case: Case) -> Iterator[CheckFinding]:
        mounts = case.config.cluster.sandbox.mounts
        for mount in mounts:
            _require_mount(Path(mount.split(":")[0]))
        yield passed(f"{len(mounts)} found")


def _require_mount(source: Path) -> None:
    if not os.path.exists(source):
        raise ConfigError(
            f"cluster.sandbox.mounts: there is no {source} on this host.{_bundle_here(source)}"
        )
    if source.suffix in FILE_SUFFIXES and _is_empty_folder(source):
        raise ConfigError(
            f"cluster.sandbox.mounts: {source} is an empty folder, and by its name a file was "
            "meant: Docker makes such folders where there is no file. Remove it, and name the "
            f"file that you mean.{_bundle_here(source)}"
        )


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not os.listdir(path)
    except PermissionError:  # its engine may see more
        return False


def _bundle_here(source: Path) -> str:
    """Where this system has its certificates, for who has named those of another."""
    if source.suffix not in (".crt", ".pem"):
        return ""
    found = [bundle for bundle in CA_BUNDLES if os.path.isfile(bundle)]
    return f" The certificates of this system are in {found[0]}." if found else ""
