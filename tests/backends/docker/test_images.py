"""Images are there, are built from a task's Dockerfile, or are pulled from a real registry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import docker.errors
import pytest
from support.docker_registry import open_registry

from orchestrator.backends.docker import bring
from orchestrator.backends.docker.bring import Source, ensure_image
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.images import (
    evict_image,
    find_image,
    find_images,
    identity,
)
from orchestrator.backends.docker.tiny_images import image_archive
from orchestrator.backends.docker.trial import tiny_program
from orchestrator.config.cluster import Images
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
    """host:port."""
    with open_registry(tmp_path_factory.mktemp("registry")) as opened:
        yield opened.address


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
    here = find_image(client, image, PLATFORM)
    assert here is not None
    assert identity(client, here, image).startswith(f"{registry}/swebench/pulled@sha256:")
    evict_image(client, image)


def test_an_image_that_was_built_here_is_known_by_its_id(client: docker.DockerClient) -> None:
    built = load(client, "swe-orchestrator-test/built:v1", PLATFORM)

    assert identity(client, built, "swe-orchestrator-test/built:v1") == built
    assert evict_image(client, "swe-orchestrator-test/built:v1")


def load(client: docker.DockerClient, name: str, platform: str) -> str:
    """Put an image of a platform there, of a few bytes; gives its id."""
    program = tiny_program("linux/amd64")
    assert program is not None
    client.images.load(image_archive(program, platform, name))
    return str(client.images.get(name).id)


@pytest.fixture
def name() -> Iterator[str]:
    """Of an image of the test's own; in the end there is none of its repository."""
    repository = f"swe-orchestrator-test/of-{os.getpid()}"
    yield f"{repository}:v1"
    with contextlib.closing(connect()) as client:  # the test may have patched its own
        for image in client.images.list(repository):
            client.images.remove(image.id, force=True)


@pytest.mark.parametrize(
    ("of", "wanted", "is_there"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/s390x", "linux/amd64", False),
    ],
)
def test_image_is_there_for_its_own_platform_alone(
    client: docker.DockerClient, name: str, of: str, wanted: str, is_there: bool
) -> None:
    image_id = load(client, name, of)

    assert find_image(client, name, wanted) == (image_id if is_there else None)


def test_image_of_several_platforms_is_what_the_engine_starts_of_it(
    client: docker.DockerClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The containerd store shows the host's of them; and an image may name none."""
    load(client, name, "linux/amd64")
    for shown in ({"Os": "linux", "Architecture": "arm64"}, {"Os": "", "Architecture": ""}, {}):
        monkeypatch.setattr(client.api, "inspect_image", lambda _, s=shown: {"Id": "it"} | s)

        assert find_image(client, name, "linux/amd64") == "it"
        assert find_image(client, name, "linux/s390x") is None


def test_hundreds_of_images_that_are_not_there_are_one_question(
    client: docker.DockerClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = load(client, name, PLATFORM)
    other, asked = f"{name.partition(':')[0]}:other", list[str]()
    client.api.tag(name, *other.split(":"))
    inspect = client.api.inspect_image
    monkeypatch.setattr(client.api, "inspect_image", lambda n: asked.append(n) or inspect(n))
    here = [name, f"docker.io/{name}", image_id.split(":")[1][:20]]
    away = [f"swebench/no-such-{number}:latest" for number in range(300)]
    try:
        found = find_images(client, [*away, *here, f"{name}-longer"], PLATFORM)
        wrong = find_images(client, here, "linux/s390x")
    finally:
        client.images.remove(other)

    assert found == dict.fromkeys(here, image_id)
    assert wrong == {}
    assert len(asked) < 20


def test_asking_for_a_platform_leaves_no_container(client: docker.DockerClient, name: str) -> None:
    load(client, name, "linux/arm64")
    find_image(client, name, "linux/amd64")

    assert client.containers.list(all=True, filters={"ancestor": name}) == []


def test_image_of_another_platform_is_pulled_anew_and_the_other_stays_under_a_longer_name(
    client: docker.DockerClient, instance: Instance, registry: str
) -> None:
    image = f"{registry}/swebench/two:v1"
    right = load(client, image, "linux/amd64")
    client.images.push(f"{registry}/swebench/two", tag="v1")
    client.images.remove(image)
    other = load(client, image, "linux/arm64")
    remote = replace(instance, image=image, task_dir=None)

    assert ensure_image(client, remote, SETTINGS, PLATFORM) is Source.PULLED

    assert client.images.get(image).id == right
    assert client.images.get(f"{image}-linux-arm64").id == other
    for each in (image, f"{image}-linux-arm64"):
        assert evict_image(client, each)


def test_image_that_the_registry_has_for_another_platform_is_a_failure_that_says_so(
    client: docker.DockerClient, instance: Instance, registry: str
) -> None:
    image = f"{registry}/swebench/arm:v1"
    load(client, image, "linux/arm64")
    client.images.push(f"{registry}/swebench/arm", tag="v1")
    client.images.remove(image)
    remote = replace(instance, image=image, task_dir=None)

    with pytest.raises(ImageUnavailable, match=r"arm64|platform"):
        ensure_image(client, remote, SETTINGS, PLATFORM)
    for each in (image, f"{image}-linux-arm64"):
        evict_image(client, each)


def test_image_that_was_built_for_another_platform_is_built_anew(
    client: docker.DockerClient, instance: Instance, name: str, tmp_path: Path
) -> None:
    load(client, name, "linux/arm64")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nENV A=1\n")
    of_task = replace(instance, image=name, task_dir=str(tmp_path))

    assert ensure_image(client, of_task, SETTINGS, PLATFORM) is Source.BUILT
    assert client.images.get(name).attrs["Architecture"] == "amd64"


def test_builder_that_loses_the_platform_is_a_failure_that_names_buildx(
    client: docker.DockerClient, instance: Instance, name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As the classic one over the containerd store."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    of_task = replace(instance, image=name, task_dir=str(tmp_path))
    monkeypatch.setattr(bring, "build_image", lambda *_: load(client, name, "linux/arm64"))

    with pytest.raises(ImageUnavailable, match=r"for linux/arm64, not linux/amd64\. .*buildx"):
        ensure_image(client, of_task, SETTINGS, PLATFORM)


@pytest.mark.parametrize("script", ["exit 1", "sleep 60", "echo rubbish", None])
def test_public_image_is_pulled_though_the_credential_helper_fails(
    client: docker.DockerClient, instance: Instance, registry: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, script: str | None,
) -> None:  # fmt: skip
    image = f"{registry}/swebench/public:v1"
    load(client, image, "linux/amd64")
    client.images.push(f"{registry}/swebench/public", tag="v1")
    client.images.remove(image)
    (tmp_path / "config.json").write_text('{"credsStore": "broken"}')
    if script is not None:
        helper = tmp_path / "docker-credential-broken"
        helper.write_text(f"#!/bin/sh\n{script}\n")
        helper.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("orchestrator.backends.docker.credentials.HELPER_TIMEOUT_S", 0.3)

    remote = replace(instance, image=image, task_dir=None)
    assert ensure_image(client, remote, SETTINGS, PLATFORM) is Source.PULLED

    evict_image(client, image)
    absent = replace(instance, image=f"{registry}/swebench/private:v1", task_dir=None)
    with pytest.raises(ImageUnavailable, match=r"without login: docker-credential-broken"):
        ensure_image(client, absent, SETTINGS, PLATFORM)


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
