"""What is free on the disk that the engine keeps its images on.

Where the engine is on this system, its folders are asked. In a virtual machine, or elsewhere, its
disk is another one than ours: there a container of our own making asks the kernel. Measured: 20 ms
here, and 0.25 s with a container.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors

from orchestrator.backends.docker.address import find_engine
from orchestrator.backends.docker.engine import ENGINE_ERRORS, LABEL
from orchestrator.backends.docker.facts import architecture, host_of
from orchestrator.backends.docker.streams import read_container
from orchestrator.backends.docker.tiny_images import image_archive, static_program
from orchestrator.backends.host import Place
from orchestrator.config.cluster import SandboxSettings

IMAGE = "swe-orchestrator-disk"
"""Of less than 10 kB; it stays, so that each question after the first is one container."""
PURPOSE = {LABEL: "disk"}
CONTAINERD = "/var/lib/containerd"
"""Where containerd keeps images, if the engine leaves them to it."""
TIMEOUT_S = 30
LEFT_BEHIND_S = 60
"""A container that is older was left by somebody who was killed before it was started."""
FULL = "no space left on device"

_STATFS = {
    # sub rsp, 256; lea rdi, [path]; mov rsi, rsp; mov eax, 137 (statfs); syscall
    # mov edi, 1; mov edx, 120; mov eax, 1 (write); syscall; xor edi, edi; mov eax, 60 (exit)
    "amd64": "4881ec00010000 488d3d24000000 4889e6 b889000000 0f05"
    "bf01000000 ba78000000 b801000000 0f05 31ff b83c000000 0f05 2f00",
    # sub sp, sp, #256; adr x0, path; mov x1, sp; mov x8, #43 (statfs); svc #0
    # mov x0, #1; mov x1, sp; mov x2, #120; mov x8, #64 (write); svc #0; x0 = 0; x8 = 93 (exit)
    "arm64": "ff0304d1 80010010 e1030091 680580d2 010000d4"
    "200080d2 e1030091 020f80d2 080880d2 010000d4 000080d2 a80b80d2 010000d4 2f00",
}
"""Code that writes what statfs(2) says of `/`."""
_STATFS_FIELDS = struct.Struct("<15Q")
"""Of 8 bytes each on Linux of 64 bits: type, bsize, blocks, bfree, bavail, files, ffree, fsid,
namelen, frsize, flags, and four that are spare."""


def free_gb(client: docker.DockerClient, settings: SandboxSettings) -> float | None:
    """What is free for images, in GB; None where nobody can say.

    Raises:
        ENGINE_ERRORS: the engine does not answer.
        PrerequisiteError: nobody knows any more which engine is meant.
    """
    info = client.info()
    place = host_of(info, find_engine().url, settings).place
    if place is Place.HERE:
        # where this process is in a container itself, it may not see them
        with contextlib.suppress(OSError):
            return min(shutil.disk_usage(folder).free for folder in _folders(info)) / 1e9
    free = _ask_container(client, architecture(info))
    if free is None:
        return None
    if place is Place.VIRTUAL_MACHINE:  # its disk is a file on ours, which grows
        free = min(free, shutil.disk_usage(Path.home()).free)
    return free / 1e9


def _folders(info: Mapping[str, Any]) -> list[str]:
    """Where an engine keeps images."""
    folders = [str(info["DockerRootDir"])]
    has_containerds = "io.containerd.snapshotter" in str(info.get("DriverStatus"))
    return [*folders, CONTAINERD] if has_containerds and Path(CONTAINERD).exists() else folders


def _ask_container(client: docker.DockerClient, platform: str) -> int | None:
    """Bytes that are free where the engine's containers have their files. Raises ENGINE_ERRORS."""
    program = static_program(platform, _STATFS)
    if program is None:
        return None
    image = f"{IMAGE}:{platform.replace('/', '-')}"
    api: Any = client.api
    _remove_left_behind(api)
    try:
        try:
            container = _create(api, image, platform)
        except docker.errors.ImageNotFound:
            client.images.load(image_archive(program, platform, image))
            container = _create(api, image, platform)
        written = read_container(api, container, time.monotonic() + TIMEOUT_S)
    except docker.errors.DockerException as error:
        if FULL in str(error):
            return 0
        raise
    return _free_of(written)


def _create(api: Any, image: str, platform: str) -> str:
    # the engine removes it when it ends, whether we are still there or not
    host = api.create_host_config(network_mode="none", auto_remove=True)
    given = {"labels": PURPOSE, "platform": platform, "host_config": host}
    return str(api.create_container(image, use_config_proxy=False, **given)["Id"])


def _remove_left_behind(api: Any) -> None:
    wanted = {"label": [f"{name}={value}" for name, value in PURPOSE.items()], "status": "created"}
    for container in api.containers(all=True, filters=wanted):
        if time.time() - container["Created"] > LEFT_BEHIND_S:
            with contextlib.suppress(*ENGINE_ERRORS):
                api.remove_container(container["Id"], force=True)


def _free_of(written: bytes) -> int | None:
    """Bytes, from the kernel's struct; None where it is none."""
    if len(written) != _STATFS_FIELDS.size:
        return None
    _, block, blocks, _, available, *_, fragment, _, _, _, _, _ = _STATFS_FIELDS.unpack(written)
    return int(available * (fragment or block)) if blocks else None
