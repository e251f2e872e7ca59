"""A client of Docker's engine, and how what is ours is told from what is not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from support.specs import DRIVER_HOST, sandbox_spec

from orchestrator.backends.docker.engine import (
    LABEL,
    connect,
    connect_for_harness,
    is_of,
    labels,
    our_containers,
    remove_container,
)
from orchestrator.errors import PrerequisiteError
from orchestrator.file_locks import hold_lock
from orchestrator.host_id import host_id
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, RolloutKey

KEY = RolloutKey(f"engine-{os.getpid()}", "a__b-1", 2)
Create = Callable[..., Container]


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    with closing(connect()) as connected:
        yield connected


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """Its lock is held, as other runs on this host remove what dead ones leave."""
    folder = tmp_path.resolve() / "a-run"
    folder.mkdir()
    with hold_lock(RunPaths(folder).driver_lock):
        yield folder


@pytest.fixture
def create(
    client: docker.DockerClient,
    instance: Instance,
    run_dir: Path,
    ensure_image: Callable[[Instance], None],
) -> Iterator[Create]:
    """Creates a container that is never started: `create(driver_host="elsewhere")`."""
    ensure_image(instance)
    with ExitStack() as stack:

        def make(ours: bool = True, **settings: Any) -> Container:
            given = {"key": KEY, "driver_host": host_id()} | settings
            spec = sandbox_spec(instance, run_dir, **given)
            container = client.containers.create(
                instance.image, "true", labels=labels(spec, "rollout") if ours else {}
            )
            stack.callback(remove_container, container)
            return container

        yield make


@pytest.mark.parametrize("open_client", [connect, connect_for_harness])
def test_an_engine_that_does_not_answer_is_named_with_the_cure(
    open_client: Callable[[int], docker.DockerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    with pytest.raises(PrerequisiteError, match="no Docker engine answers at tcp://") as caught:
        open_client(5)

    assert "Connection refused: nothing listens at 127.0.0.1, port 9" in caught.value.what
    assert "`docker context ls`" in caught.value.cure
    assert "\n" not in str(caught.value)


def test_labels_say_whose_a_container_is(instance: Instance, tmp_path: Path) -> None:
    assert labels(sandbox_spec(instance, tmp_path, key=KEY), "grade") == {
        "swe-orchestrator": "grade",
        "swe-orchestrator.run": KEY.run_id,
        "swe-orchestrator.run-dir": str(tmp_path),
        "swe-orchestrator.driver-host": DRIVER_HOST,
        "swe-orchestrator.instance": "a__b-1",
        "swe-orchestrator.attempt": "2",
    }


@pytest.mark.docker
def test_containers_are_ours_that_a_driver_on_this_host_has_started(
    client: docker.DockerClient, create: Create, run_dir: Path
) -> None:
    mine, another_hosts = create(), create(driver_host="another-host")
    older_versions = create(driver_host=socket.gethostname())
    strangers = create(ours=False)

    found = {container.id: owner for owner, container in our_containers(client)}

    assert found[mine.id] == found[older_versions.id] == run_dir
    assert another_hosts.id not in found
    assert strangers.id not in found


@pytest.mark.docker
def test_a_container_is_of_one_attempt_at_one_instance(create: Create) -> None:
    container = create()

    assert is_of(container, KEY)
    assert not is_of(container, KEY.next_attempt)
    assert not is_of(container, replace(KEY, instance_id="a__b-11"))


@pytest.mark.docker
def test_a_container_that_is_gone_already_counts_as_removed(
    client: docker.DockerClient, create: Create
) -> None:
    container = create()

    assert remove_container(container)
    assert remove_container(container)
    label = f"{LABEL}.run={KEY.run_id}"
    assert client.containers.list(all=True, filters={"label": label}) == []


def test_where_the_engine_went_away_nothing_counts_as_removed() -> None:
    with closing(docker.DockerClient("tcp://127.0.0.1:9", version="1.41")) as gone:
        assert not remove_container(Container({"Id": "c0ffee", "Name": "/one"}, client=gone))
        with pytest.raises(PrerequisiteError, match="can't list its containers"):
            list(our_containers(gone))
