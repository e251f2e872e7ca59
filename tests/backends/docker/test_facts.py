"""What `docker info` of the engines that people have is taken for. No engine is asked."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.backends.docker.facts import (
    System,
    architecture,
    engine_name,
    host_of,
    require_api,
    unkept_limits,
)
from orchestrator.backends.host import Host, Place
from orchestrator.config.cluster import SandboxSettings
from orchestrator.errors import PrerequisiteError

GIB = 2**30
SOCKET = "unix:///Users/ann/.orbstack/run/docker.sock"
MAC = System("24.5.0", 16 * GIB / 1e9)
"""macOS's kernel, of a Mac mini."""


def info(**more: Any) -> dict[str, Any]:
    """What OrbStack's engine says, shortened."""
    given = {
        "Architecture": "aarch64",
        "KernelVersion": "6.15.11-orbstack-00539-g9885ebd8e3f4",
        "MemTotal": 8 * GIB,
        "NCPU": 10,
        "Name": "orbstack",
        "OSType": "linux",
        "OperatingSystem": "OrbStack",
        "ServerVersion": "28.5.2",
    }
    return given | more


def host(here: System = MAC, url: str = SOCKET, platform: str = "linux/amd64", **more: Any) -> Host:
    return host_of(info(**more), url, SandboxSettings(kind="docker", platform=platform), here)


def test_orbstack_on_a_mac_mini() -> None:
    found = host()

    assert (found.engine_name, found.engine_version) == ("OrbStack", "28.5.2")
    assert found.place is Place.VIRTUAL_MACHINE
    assert (found.architecture, found.platform, found.emulated) == (
        "linux/arm64",
        "linux/amd64",
        True,
    )
    assert (round(found.memory_gb, 1), found.cpus) == (8.6, 10)
    assert "orb config set memory_mib" in found.enlarge


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"OperatingSystem": "Docker Desktop", "Name": "docker-desktop"}, "Docker Desktop"),
        (
            {"OperatingSystem": "Docker Desktop (containerized)", "Name": "docker-desktop"},
            "Docker Desktop",
        ),
        ({"OperatingSystem": "Ubuntu 24.04.2 LTS", "Name": "colima"}, "Colima"),
        ({"OperatingSystem": "Ubuntu 24.04.2 LTS", "Name": "colima-work"}, "Colima"),
        ({"OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "Name": "spark"}, "Docker"),
        ({"OperatingSystem": "", "Name": ""}, "Docker"),
    ],
)
def test_engines_are_called_as_their_users_call_them(said: dict[str, str], name: str) -> None:
    assert engine_name(info(**said)) == name


@pytest.mark.parametrize(
    ("machine", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("riscv64", "linux/riscv64"),
        ("", ""),
    ],
)
def test_processors_have_the_names_of_platforms(machine: str, platform: str) -> None:
    assert architecture(info(Architecture=machine)) == platform


@pytest.mark.parametrize(
    ("architecture", "platform", "emulated"),
    [
        ("x86_64", "linux/amd64", False),
        ("aarch64", "linux/arm64", False),
        ("aarch64", "linux/arm64/v8", False),
        ("aarch64", "linux/amd64", True),
        ("x86_64", "linux/arm64/v8", True),
        ("", "linux/amd64", False),
    ],
)
def test_images_of_another_platform_are_emulated(
    architecture: str, platform: str, emulated: bool
) -> None:
    assert host(Architecture=architecture, platform=platform).emulated is emulated


LINUX = System("6.12.0", 16 * GIB / 1e9)


@pytest.mark.parametrize(
    ("kernel", "memory", "url", "place"),
    [
        ("6.12.0", 16 * GIB, "unix:///var/run/docker.sock", Place.HERE),
        ("6.12.0", 16 * GIB - 3_000_000, "unix:///run/user/1000/docker.sock", Place.HERE),
        (
            "6.10.14-linuxkit",
            8 * GIB,
            "unix:///home/ann/.docker/desktop/docker.sock",
            Place.VIRTUAL_MACHINE,
        ),
        ("6.8.0", 2 * GIB, "tcp://localhost:2375", Place.VIRTUAL_MACHINE),
        ("6.12.0", 64 * GIB, "tcp://spark:2376", Place.ELSEWHERE),
        ("6.8.0", 16 * GIB, "tcp://100.64.0.7:2376", Place.ELSEWHERE),
    ],
)
def test_whose_memory_the_sandboxes_have(kernel: str, memory: int, url: str, place: Place) -> None:
    assert host(LINUX, url, KernelVersion=kernel, MemTotal=memory).place is place


def test_an_engine_on_this_system_has_its_images_on_a_disk_that_can_be_looked_at() -> None:
    said = {"DockerRootDir": "/data/docker"}
    linux = System("6.15.11-orbstack-00539-g9885ebd8e3f4", 8 * GIB / 1e9)

    assert host(linux, **said).images_dir == "/data/docker"
    assert host(**said).images_dir == "", "a path in a virtual machine"
    assert host(url="tcp://far:2376", **said).images_dir == ""
    assert host(linux).images_dir == "", "it does not say"


@pytest.mark.parametrize("version", ["1.40", "1.39", "1.24", "1.9", "1"])
def test_an_engine_that_is_too_old_is_told_with_its_versions(version: str) -> None:
    with pytest.raises(PrerequisiteError, match=r"OrbStack 28\.5\.2 speaks version .*need 1\.41"):
        require_api(info(), version)


@pytest.mark.parametrize("version", ["1.41", "1.47", "1.100", "2.0", "", "of my own"])
def test_an_engine_that_is_new_enough_or_says_nothing_that_is_known_is_taken(version: str) -> None:
    require_api(info(), version)


@pytest.mark.parametrize(
    ("said", "unkept"),
    [
        ({"MemoryLimit": True, "CpuCfsQuota": True, "PidsLimit": True}, ()),
        ({"MemoryLimit": False, "CpuCfsQuota": False, "PidsLimit": True}, ("memory", "cores")),
        ({"PidsLimit": False}, ("processes",)),
        ({"MemoryLimit": None}, ()),
        ({}, ()),
    ],
)
def test_limits_that_an_engine_does_not_keep_are_known(
    said: dict[str, Any], unkept: tuple[str, ...]
) -> None:
    assert unkept_limits(info(**said)) == unkept
