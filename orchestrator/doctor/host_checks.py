"""This host: disks, files, Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.backends import Place
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, Depth, Finding, passed
from orchestrator.driver.local_ray import require_ray
from orchestrator.driver.this_host import free_disk_gb, nearest_folder
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.host_id import host_id

CA_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where systems have the certificates that they trust: macOS first, then Linux's families."""

FILE_SUFFIXES = (
    *(".cer", ".crt", ".key", ".pem"),
    *(".cfg", ".conf", ".env", ".ini", ".json", ".toml", ".txt", ".yaml", ".yml"),
    *(".py", ".sh"),
)
"""Of what people mount that is a file. Folders have dots in their names too, such as v1.2."""


class TaskFolders(Check):
    """A run has kept a task's row, and the task's folder is gone."""

    name = "task folders"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return any(instance.task_dir is not None for instance in case.planned)

    def look(self, case: Case) -> Iterator[Finding]:
        folders = [(i, i.task_dir) for i in case.planned if i.task_dir is not None]
        for instance, folder in folders:
            if not os.path.isdir(folder):
                raise PrerequisiteError(
                    f"{folder} is gone, from which {instance.instance_id}'s image is made.",
                    "Bring it back.",
                )
        yield passed(f"{len(folders)} are there")


class RunsDisk(Check):
    """The runs' disk has less free than a run wants to start."""

    name = "runs' disk"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[Finding]:
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

    def look(self, case: Case) -> Iterator[Finding]:
        address = case.config.cluster.ray_address
        require_ray(address)
        yield passed(f"answers at {address}" if address else "one of the run's own")


class HostName(Check):
    """This host has an id by which its own leftovers are found, and can keep it."""

    name = "host id"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[Finding]:
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

    def look(self, case: Case) -> Iterator[Finding]:
        mounts = case.config.cluster.sandbox.mounts
        for mount in mounts:
            _require_mount(Path(mount.split(":")[0]))
        yield passed(f"{len(mounts)} are there")


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
