"""What is free for images is asked where they lie, and asking leaves nothing behind."""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from support.small_engine import SmallEngine

from orchestrator.backends import find_backend
from orchestrator.backends.docker import disk, facts
from orchestrator.backends.docker.disk import IMAGE, PURPOSE, free_gb
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.facts import System
from orchestrator.backends.docker.tiny_images import static_program
from orchestrator.config.cluster import Cluster, SandboxSettings

SETTINGS = SandboxSettings(kind="docker")
CLUSTER = Cluster(name="c")
MB = 1_000_000
GIB = 2**30
MAC = System("24.5.0", 16 * GIB / 1e9)
"""macOS's kernel: the engine's is another one, so that it is in a virtual machine."""


@pytest.fixture(scope="module")
def engine() -> Iterator[SmallEngine]:
    with SmallEngine(60) as started:
        yield started


@pytest.fixture
def client(engine: SmallEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    with closing(connect()) as connected:
        yield connected
        assert containers_left(connected) == []


def containers_left(client: docker.DockerClient, expected: int = 0) -> list[str]:
    """Ids, once the engine had the time to remove those that have ended."""
    for _ in range(100):
        left = client.api.containers(all=True)
        if len(left) <= expected:
            break
        time.sleep(0.05)
    return sorted(one["Id"] for one in left)


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts.System, "here", classmethod(lambda cls: MAC))


def near(engine: SmallEngine) -> Any:
    return pytest.approx(engine.free / 1e9, abs=0.002)


@pytest.mark.docker
def test_of_an_engine_here_it_is_its_own_disk_and_not_that_of_the_runs(
    engine: SmallEngine, client: docker.DockerClient
) -> None:
    found = find_backend("docker").free_for_images_gb(CLUSTER)

    assert found == near(engine)
    assert found < 0.06
    assert client.images.list() == [], "no container was needed"


@pytest.mark.docker
@pytest.mark.usefixtures("mac")
def test_of_an_engine_in_a_virtual_machine_its_kernel_is_asked_by_a_container_of_a_few_bytes(
    engine: SmallEngine, client: docker.DockerClient
) -> None:
    for _ in range(2):
        assert find_backend("docker").free_for_images_gb(CLUSTER) == near(engine)

    (image,) = client.images.list()
    assert image.tags == [f"{IMAGE}:linux-amd64"]
    assert image.attrs["Size"] < 10_000


@pytest.mark.docker
@pytest.mark.usefixtures("mac")
def test_a_virtual_machines_disk_is_worth_no_more_than_this_hosts(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = shutil.disk_usage("/")._replace(free=5 * MB)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: used)

    assert free_gb(client, SETTINGS) == 0.005


@pytest.mark.docker
def test_where_the_engines_folders_are_not_to_be_seen_its_kernel_is_asked(
    engine: SmallEngine, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a container that has the engine's socket."""
    info = client.info() | {"DockerRootDir": "/no/such/folder"}
    monkeypatch.setattr(client, "info", lambda: info)

    assert free_gb(client, SETTINGS) == near(engine)


@pytest.mark.docker
@pytest.mark.usefixtures("mac")
def test_a_disk_without_room_for_the_question_has_none(
    engine: SmallEngine, client: docker.DockerClient
) -> None:
    for image in client.images.list():
        client.images.remove(image.id, force=True)
    filler = engine.disk / "filler"
    try:
        for size in (MB, 1024):  # no room is left for a folder either
            with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
                while file.write(bytes(size)):
                    pass
        assert free_gb(client, SETTINGS) == 0
    finally:
        filler.unlink()


@pytest.mark.docker
@pytest.mark.usefixtures("mac")
def test_a_container_that_somebody_who_was_killed_has_not_started_goes_the_next_time(
    engine: SmallEngine, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_gb(client, SETTINGS)
    left = client.containers.create(f"{IMAGE}:linux-amd64", labels=PURPOSE)
    other = client.containers.create(f"{IMAGE}:linux-amd64", labels={"a": "person's"})
    free_gb(client, SETTINGS)
    assert containers_left(client, 2) == sorted([str(left.id), str(other.id)])

    monkeypatch.setattr(disk, "LEFT_BEHIND_S", -1)
    free_gb(client, SETTINGS)
    assert containers_left(client, 1) == [other.id]
    other.remove()


def test_containerds_own_folder_counts_where_the_engine_keeps_images_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disk, "CONTAINERD", str(tmp_path))
    info = {"DockerRootDir": "/data", "DriverStatus": [["Backing Filesystem", "extfs"]]}
    of_containerd = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}

    assert disk._folders(info) == ["/data"]
    assert disk._folders(info | of_containerd) == ["/data", str(tmp_path)]
    monkeypatch.setattr(disk, "CONTAINERD", str(tmp_path / "none"))
    assert disk._folders(info | of_containerd) == ["/data"]


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_nobody_can_say() -> None:
    assert find_backend("docker").free_for_images_gb(CLUSTER) is None


@pytest.mark.parametrize("other", ["linux/s390x", "windows/amd64", ""])
def test_for_some_processors_we_have_no_program(other: str) -> None:
    assert static_program(other, disk._STATFS) is None


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_program_prints_what_the_kernel_says_of_the_disk(
    architecture: str, tmp_path: Path
) -> None:
    native = facts.ARCHITECTURES.get(platform.machine()) == architecture
    emulator = shutil.which(f"qemu-{'x86_64' if architecture == 'amd64' else 'aarch64'}-static")
    if not psutil.LINUX or not (native or emulator):
        pytest.skip(f"nothing runs {architecture} here")
    program = static_program(f"linux/{architecture}", disk._STATFS)
    assert program is not None
    path = tmp_path / "program"
    path.write_bytes(program)
    path.chmod(0o755)

    done = subprocess.run([path] if native else [str(emulator), path], capture_output=True)

    assert done.returncode == 0
    assert disk._free_of(done.stdout) == pytest.approx(shutil.disk_usage("/").free, rel=0.01)


@pytest.mark.parametrize("written", [b"", b"exec format error\n", bytes(120), bytes(119)])
def test_what_is_no_answer_of_the_kernel_is_none(written: bytes) -> None:
    assert disk._free_of(written) is None
