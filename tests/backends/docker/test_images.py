"""Images are there, are built from a task's Dockerfile, or are pulled from a real registry."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import docker.errors
import pytest

from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.images import Source, ensure_image, evict_image
from orchestrator.config.schema import Images
from orchestrator.errors import ImageUnavailable
from orchestrator.types import Instance

pytestmark = pytest.mark.docker
PLATFORM = "linux/amd64"
SETTINGS = Images(base=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE"))


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    connected = connect()
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry on loopback, which engines trust without TLS: host:port."""
    binary = shutil.which("docker-registry")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs docker-registry (scripts/docker-for-tests installs it)")
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log)
    host, port = address.split(":")
    for _ in range(100):
        with socket.socket() as sock:
            if sock.connect_ex((host, int(port))) == 0:
                break
        time.sleep(0.1)
    yield address
    process.terminate()
    process.wait()


def test_image_that_is_there_is_left_as_it_is(
    client: docker.DockerClient, instance: Instance
) -> None:
    ensure_image(client, instance, SETTINGS, PLATFORM)
    before = client.images.get(instance.image).id
    assert ensure_image(client, instance, SETTINGS, PLATFORM) is Source.PRESENT
    assert client.images.get(instance.image).id == before


def test_image_of_a_task_repo_is_built_from_its_dockerfile(
    client: docker.DockerClient, instance: Instance
) -> None:
    other = replace(instance, image="swe-orchestrator-test/built:latest")
    evict_image(client, other.image)
    assert ensure_image(client, other, SETTINGS, PLATFORM) is Source.BUILT
    assert client.images.get(other.image).attrs["Architecture"] == "amd64"
    evict_image(client, other.image)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(other.image)


def test_image_is_pulled_from_a_registry(
    client: docker.DockerClient, instance: Instance, registry: str
) -> None:
    ensure_image(client, instance, SETTINGS, PLATFORM)
    image = f"{registry}/swebench/pulled:v1"
    client.images.get(instance.image).tag(image)
    client.images.push(f"{registry}/swebench/pulled", tag="v1")
    client.images.remove(image)
    remote = replace(instance, image=image, task_dir=None)
    assert ensure_image(client, remote, SETTINGS, PLATFORM) is Source.PULLED
    assert ensure_image(client, remote, SETTINGS, PLATFORM) is Source.PRESENT
    evict_image(client, image)


def test_image_that_the_registry_lacks_is_a_failure(
    client: docker.DockerClient, instance: Instance, registry: str
) -> None:
    remote = replace(instance, image=f"{registry}/swebench/absent:v1", task_dir=None)
    with pytest.raises(ImageUnavailable, match="absent"):
        ensure_image(client, remote, SETTINGS, PLATFORM)


def test_registry_that_is_away_is_a_failure(
    client: docker.DockerClient, instance: Instance
) -> None:
    remote = replace(instance, image="127.0.0.1:9/swebench/away:v1", task_dir=None)
    with pytest.raises(ImageUnavailable, match="away"):
        ensure_image(client, remote, SETTINGS, PLATFORM)


def test_dockerfile_that_fails_is_a_failure(
    client: docker.DockerClient, instance: Instance, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    broken = replace(instance, image="swe-orchestrator-test/broken", task_dir=str(tmp_path))
    with pytest.raises(ImageUnavailable, match="absent"):
        ensure_image(client, broken, SETTINGS, PLATFORM)
