"""The image half of a backend: what `base.Backend` says of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.config.cluster import Cluster
from orchestrator.images.pulls import Quota
from orchestrator.types import Instance


def is_built_here(instance: Instance) -> bool:
    """An instance of a task repo has a Dockerfile; the image of any other is pulled."""
    return instance.task_dir is not None and (Path(instance.task_dir) / "Dockerfile").is_file()


@dataclass(frozen=True)
class PullStep:
    """How far a pull is."""

    compressed: int = 0
    """Bytes that have come so far."""
    expanded: int = 0
    """Of the last step: bytes that the image takes on the disk, shared ones too."""
    digest: str = ""
    """Of the last step: of the manifest, as the registry gave it; empty where it has none."""


@dataclass(frozen=True)
class ImageHere:
    """An image on the engine's disk."""

    platform: str
    """Such as linux/amd64; empty where the image says none."""
    digest: str
    """Of the manifest that it came by; empty where it came from no registry."""
    layers: Mapping[str, int]
    """Bytes on the disk, by layer; the same layer has the same name in every image."""
    others: frozenset[str]
    """Layers that images have which nobody asked about: they stay when this one goes."""
    containers: tuple[str, ...]
    """Names of containers that were made from it, stopped ones too."""

    @property
    def bytes(self) -> int:
        return sum(self.layers.values())


class KeepsImages(Protocol):
    """Images on one host: which are there, and how they come and go."""

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        """The images that are to be brought onto this host, in the run's order. One that is here
        for another platform is missing."""
        ...

    def missing_bases(self, instances: Sequence[Instance], cluster: Cluster) -> tuple[str, ...]:
        """The images that come from registries for those of `missing_images` that are built."""
        ...

    def image_ids(self, instances: Sequence[Instance], platform: str) -> Mapping[str, str]:
        """What the images are (`Sandbox.image`) that are on this host already, by name: what the
        lock holds of them."""
        ...

    def images_here(self, names: Iterable[str]) -> Mapping[str, ImageHere]:
        """Those of these images that are on this host, for whichever platform, by name.

        Raises:
            PrerequisiteError: the engine does not answer, or not to this.
        """
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
