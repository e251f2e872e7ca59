"""Images on the worker's host: a pull is told before it begins, and an eviction done."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from orchestrator.backends import Assignment, find_backend
from orchestrator.errors import ConfigError
from orchestrator.types import PulledImage
from orchestrator.worker.backend import backend_of
from orchestrator.worker.messages import Eviction, EvictionRequest, PullBegins


def announce_pull(assignment: Assignment) -> Iterator[PullBegins]:
    """Say that the instance's image will be pulled, where it will.

    Raises:
        SandboxUnavailable: there is no such backend here, or its engine does not answer.
    """
    cluster = assignment.config.cluster
    if backend_of(assignment).needs_pull(assignment.instance, cluster):
        node = "" if cluster.ray_address is None else socket.gethostname()
        yield PullBegins(PulledImage(assignment.instance.image, node))


def evict(request: EvictionRequest) -> Eviction:
    """Remove an image that nobody needs any more. Never raises."""
    try:
        backend = find_backend(request.backend)
    except ConfigError:  # it is not installed on this node
        return Eviction(request.image, gone=False)
    return Eviction(request.image, backend.evict_image(request.image.name))
