"""How many more containers the engine's one network takes."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import docker
import docker.errors
import pytest

from orchestrator.backends.docker.addresses import free_addresses, free_in
from orchestrator.backends.docker.engine import connect
from orchestrator.errors import PrerequisiteError


def bridge(*subnets: str, containers: int = 0) -> dict[str, Any]:
    """What `GET /networks/bridge` answers, shortened."""
    config = [{"Subnet": subnet, "Gateway": "x"} for subnet in subnets]
    return {
        "Name": "bridge",
        "IPAM": {"Driver": "default", "Options": None, "Config": config},
        "Containers": {f"id{number}": {} for number in range(containers)},
    }


@pytest.mark.parametrize(
    ("said", "free"),
    [
        (bridge("172.17.0.0/16"), 65533),
        (bridge("192.168.215.0/24", "fd07:b51a:cc66:0::/64"), 253),  # OrbStack
        (bridge("172.17.0.0/16", containers=8), 65525),
        (bridge("10.1.2.5/29", containers=2), 3),
        (bridge("10.1.2.0/30", containers=3), 0),
        (bridge("fd00::/64"), None),
        (bridge(), None),
        (bridge("of one's own"), None),
        ({"IPAM": None}, None),
        ({"IPAM": {"Config": None}}, None),
        ({"IPAM": {"Config": [{}]}}, None),
        ({}, None),
    ],
)
def test_addresses_are_counted_by_the_subnet(said: dict[str, Any], free: int | None) -> None:
    assert free_in(said) == free


def test_an_engine_that_was_told_to_have_no_bridge_is_told() -> None:
    class Client:
        @property
        def networks(self) -> Client:
            return self

        def get(self, name: str) -> None:
            raise docker.errors.NotFound(f"network {name} not found")

    with pytest.raises(PrerequisiteError, match=r"no network `bridge`.*cluster.grading.network"):
        free_addresses(Client())  # type: ignore[arg-type]


@pytest.mark.docker
def test_an_engine_has_addresses() -> None:
    with closing(connect()) as client:
        free = free_addresses(client)

    assert free is not None
    assert free > 1
