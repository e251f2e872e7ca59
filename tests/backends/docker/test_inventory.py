"""What images take on a real engine's disk: shared layers, digests, and who uses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support.docker_registry import open_registry, random_layer

from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.inventory import find_images_here

pytestmark = pytest.mark.docker


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    yield client
    client.close()


def test_layers_are_told_apart_and_shared_ones_are_the_same(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    base = random_layer("inventory", 300_000)
    with open_registry(tmp_path) as registry:
        names = [f"{registry.address}/shelf/{number}:latest" for number in range(3)]
        pushed = [
            registry.push(f"shelf/{number}", [base, random_layer(f"own {number}", 100_000)])
            for number in range(3)
        ]
        for name in names:
            client.images.pull(name)
    container = client.containers.create(names[0])
    try:
        found = find_images_here(client, [*names[:2], "nobody/has-it:1"])
    finally:
        container.remove()
        for name in names:
            client.images.remove(name)

    assert list(found) == names[:2]
    first, second = (found[name] for name in names[:2])
    assert (first.digest, first.platform) == (pushed[0].digest, "linux/amd64")
    (shared,) = first.layers.keys() & second.layers.keys()
    assert first.layers[shared] >= 300_000
    assert 400_000 <= first.bytes < 450_000
    assert first.others == {shared}, "a third image has it too, which nobody asked about"
    assert first.containers == (container.name,)
    assert second.containers == ()
