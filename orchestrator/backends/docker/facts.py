"""What an engine says of itself (`docker info`), as the host of sandboxes."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from orchestrator.backends.host import Host, Place
from orchestrator.config.cluster import SandboxSettings
from orchestrator.errors import PrerequisiteError
from orchestrator.network.proxies import is_this_host

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
"""The kernel's names to those of images' platforms; others are the same (riscv64, s390x)."""
ENLARGE = {
    "OrbStack": "`orb config set memory_mib 12288`, then `orb stop`",
    "Docker Desktop": "Docker Desktop's Settings, Resources",
    "Colima": "`colima stop`, then `colima start --cpu 4 --memory 12 --disk 200`",
}
"""How an engine's virtual machine is given more of this host. OrbStack's has a quarter of the
memory unless told otherwise, Colima's 2 GiB and 2 cores."""
OLDEST_API = (1, 41)
"""Of Docker 20.10, and of Podman's imitation: the first that takes a container's platform."""
LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "cores", "PidsLimit": "processes"}
"""By the keys of `docker info`; an engine starts containers without the limits that it lacks."""
SAME_MEMORY = 0.05
"""Two readings of one machine's memory differ by less than this part of it."""


@dataclass(frozen=True)
class System:
    """What this process runs on."""

    kernel: str
    """`uname -r`."""
    memory_gb: float

    @classmethod
    def here(cls) -> Self:
        return cls(platform.release(), psutil.virtual_memory().total / 1e9)


def host_of(
    info: Mapping[str, Any], url: str, settings: SandboxSettings, here: System | None = None
) -> Host:
    """The host that an engine at this address gives to sandboxes.

    `info` is the engine's answer to `GET /info`.
    """
    memory_gb, name = int(info["MemTotal"]) / 1e9, engine_name(info)
    kernel = str(info.get("KernelVersion", ""))
    place = _place(kernel, memory_gb, url, here or System.here())
    return Host(
        settings.kind,
        memory_gb=memory_gb,
        cpus=int(info["NCPU"]),
        engine_version=str(info["ServerVersion"]),
        platform=settings.platform,
        engine_name=name,
        architecture=architecture(info),
        place=place,
        images_dir=str(info.get("DockerRootDir", "")) if place is Place.HERE else "",
        enlarge=ENLARGE.get(name, ""),
    )


def require_api(info: Mapping[str, Any], version: str) -> None:
    """Raises PrerequisiteError where an engine is too old for what sandboxes are started with."""
    parts = version.split(".")
    if all(part.isdecimal() for part in parts) and tuple(map(int, parts)) < OLDEST_API:
        raise too_old(f"{engine_name(info)} {info.get('ServerVersion', '')}".strip(), version)


def too_old(engine: str, version: str) -> PrerequisiteError:
    oldest = ".".join(map(str, OLDEST_API))
    return PrerequisiteError(
        f"{engine} speaks version {version} of Docker's API, and sandboxes need {oldest} (Docker "
        "20.10) or newer.",
        "Update it.",
    )


def unkept_limits(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What an engine says that it can't limit, as one without root under old cgroups."""
    return tuple(what for key, what in LIMITS.items() if info.get(key) is False)


def architecture(info: Mapping[str, Any]) -> str:
    """The platform that the engine's own processors run, such as linux/arm64."""
    machine = str(info.get("Architecture", ""))
    system = str(info.get("OSType") or "linux")
    return f"{system}/{ARCHITECTURES.get(machine, machine)}" if machine else ""


def engine_name(info: Mapping[str, Any]) -> str:
    """As its users call it: OrbStack and Docker Desktop give their name for their system's, colima
    for its machine's."""
    system, machine = str(info.get("OperatingSystem", "")), str(info.get("Name", ""))
    for name in ("OrbStack", "Docker Desktop"):
        if name.lower() in (system.lower(), machine.lower().replace("-", " ")):
            return name
    return "Colima" if machine.startswith("colima") else "Docker"


def _place(kernel: str, memory_gb: float, url: str, here: System) -> Place:
    """An engine under our own kernel, with our own memory, is here. Another one is in a virtual
    machine where it is reached by way of this host, else on another host."""
    if kernel == here.kernel and abs(memory_gb - here.memory_gb) < SAME_MEMORY * here.memory_gb:
        return Place.HERE
    parts = urlsplit(url)
    is_near = parts.scheme in ("unix", "npipe") or is_this_host(parts.hostname or "")
    return Place.VIRTUAL_MACHINE if is_near else Place.ELSEWHERE
