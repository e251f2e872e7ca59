"""What a backend says whose sandboxes are started from no image, by no engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.backends.host import Host
from orchestrator.backends.images import ImageHere, PullStep
from orchestrator.config.cluster import Cluster
from orchestrator.images.pulls import Quota
from orchestrator.types import Instance


class NeedsNoImages:
    """Methods of `images.KeepsImages`, and of `base.Backend` those that ask an engine, for classes
    to inherit."""

    def check(self, instances: Sequence[Instance], cluster: Cluster, host: Host) -> tuple[str, ...]:
        return ()

    def try_sandbox(self, cluster: Cluster, host: Host) -> str:
        return ""

    def free_addresses(self, cluster: Cluster) -> int | None:
        return None

    def secret_files(self) -> tuple[Path, ...]:
        return ()

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        return ()

    def missing_bases(self, instances: Sequence[Instance], cluster: Cluster) -> tuple[str, ...]:
        return ()

    def image_ids(self, instances: Sequence[Instance], platform: str) -> Mapping[str, str]:
        return {}

    def images_here(self, names: Iterable[str]) -> Mapping[str, ImageHere]:
        return {}

    def needs_pull(self, instance: Instance, cluster: Cluster) -> bool:
        return False

    def bring_image(self, instance: Instance, cluster: Cluster) -> None:
        """It needs none."""

    def pull_image(self, name: str, cluster: Cluster) -> Iterator[PullStep]:
        return iter(())  # it needs none

    def free_for_images_gb(self, cluster: Cluster) -> float | None:
        return None

    def registry_login(self, registry: str) -> Mapping[str, Any]:
        return {}

    def pull_quota(self, registry: str) -> Quota | None:
        return None

    def evict_image(self, name: str) -> bool:
        return False  # it may be another backend's, of an earlier session
