"""The image half of a backend whose sandboxes are started from none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.backends.host import Host
from orchestrator.config.cluster import Cluster
from orchestrator.types import Instance


class NeedsNoImages:
    """Methods of `base.Backend`, for classes to inherit."""

    def check(self, instances: Sequence[Instance], cluster: Cluster, host: Host) -> tuple[str, ...]:
        return ()

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        return ()

    def image_ids(self, instances: Sequence[Instance], platform: str) -> Mapping[str, str]:
        return {}

    def needs_pull(self, instance: Instance, cluster: Cluster) -> bool:
        return False

    def bring_image(self, instance: Instance, cluster: Cluster) -> None:
        """It needs none."""

    def evict_image(self, name: str) -> bool:
        return False  # it may be another backend's, of an earlier session
