"""The addresses that containers with a network take: they are all in the engine's own bridge.

No sandbox and no grade has a network of its own, of which an engine has about thirty to give.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import docker
import docker.errors

from orchestrator.errors import PrerequisiteError

BRIDGE = "bridge"
NOT_FOR_CONTAINERS = 3
"""Of a subnet: its own address, the gateway's, and the one for broadcasts."""


def free_addresses(client: docker.DockerClient) -> int | None:
    """How many more containers the bridge takes; None where it does not say its subnet.

    Raises:
        PrerequisiteError: the engine was told to have none.
        ENGINE_ERRORS: it does not answer.
    """
    try:
        bridge = client.networks.get(BRIDGE).attrs
    except docker.errors.NotFound:
        raise PrerequisiteError(
            "the Docker engine has no network `bridge`, which grades and sandboxes with a network "
            "have.",
            'Take "bridge": "none" out of its daemon.json and restart it, or set '
            "cluster.grading.network=false.",
        ) from None
    return free_in(bridge)


def free_in(bridge: Mapping[str, Any]) -> int | None:
    """The same from what the engine says of the bridge (`GET /networks/bridge`)."""
    try:
        subnets = [
            ipaddress.ip_network(part["Subnet"], strict=False)
            for part in (bridge.get("IPAM") or {}).get("Config") or ()
        ]
    except (ValueError, KeyError, TypeError):
        return None
    rooms = [subnet.num_addresses for subnet in subnets if subnet.version == 4]
    if not rooms:
        return None
    return max(0, sum(rooms) - NOT_FOR_CONTAINERS - len(bridge.get("Containers") or ()))
