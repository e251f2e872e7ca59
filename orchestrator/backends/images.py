"""The image half of a backend: what `base.Backend` says of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.config.cluster import Cluster
from orchestrator.images.pulls import Quota
from orchestrator.types import Instance


@dataclass(frozen=True)
class PullStep:
    """How far a pull is."""

    compressed: int = 0
    """Bytes that have come so far."""
    expanded: int = 0
    """Of the last step: bytes that the image takes on the disk, shared ones too."""
    digest: str = ""
    """Of the last step: of the manifest, as the registry gave it; empty where it has none."""


class KeepsImages(Protocol):
    """Images on one host: which are there, and how they come and go."""

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        """The images that are to be brought onto this host, in the run's order. One that is here
        for another platform is missing."""
        ...

    def image_ids(self, instances: Sequence[Instance], platform: str) -> Mapping[str, str]:
        """What the images are (`Sandbox.image`) that are on this host already, by name: what the
        lock holds of them."""
        ...

    def needs_pull(self, instance: Instance, cluster: Cluster) -> bool:
        """Whether `bring_image` would pull the instance's image onto this host.

        Raises:
            SandboxUnavailable: no engine answers.
        """
        ...

    def bring_image(self, instance: Instance, cluster: Cluster) -> None:
        """Bring the instance's image onto this host.

        Raises:
            ImageUnavailable: it can't be pulled or built.
            SandboxUnavailable: no engine answers.
        """
        ...

    def pull_image(self, name: str, cluster: Cluster) -> Iterator[PullStep]:
        """Pull an image for the cluster's platform, from its mirror or else from its registry.

        Yields how it goes; the last value says what has come. An image that is there for that
        platform is not asked for. One that came half is not there.

        Raises:
            PullFailed: it did not come, and why.
        """
        ...

    def free_for_images_gb(self, cluster: Cluster) -> float | None:
        """What is free on the disk that the engine keeps its images on; None where nobody can say
        just now. Never raises."""
        ...

    def registry_login(self, registry: str) -> Mapping[str, Any]:
        """The login for a registry, as the engine takes it; empty without one. Never raises."""
        ...

    def pull_quota(self, registry: str) -> Quota | None:
        """What a registry still allows who asks from here, asked at no cost; None where it has no
        limit, or does not say. Never raises."""
        ...

    def evict_image(self, name: str) -> bool:
        """Remove an image; one that is in use is left alone. Returns whether it is gone. Never
        raises."""
        ...
