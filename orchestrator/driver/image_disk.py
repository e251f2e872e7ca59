"""The disk of a host's images: how much room there is for more."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.backends.host import Host, Place
from orchestrator.config.cluster import Cluster

GB = 10**9


@dataclass(frozen=True)
class ImageDisk:
    """What has to stay free where images lie.

    An engine in a virtual machine has a disk of its own, which is a file on this host's and grows:
    both have to have room. So it is where images and runs lie on one disk.
    """

    reserve_gb: float
    """On the engine's disk."""
    min_free_gb: float
    """On the runs' disk."""
    runs_dir: Path
    takes_from_runs: bool
    """Whether images of this host take what is free on the runs' disk."""

    @classmethod
    def of(cls, cluster: Cluster, host: Host, runs_dir: Path) -> ImageDisk:
        return cls(
            cluster.images.reserve_gb,
            cluster.min_free_disk_gb,
            runs_dir,
            _takes_from(host, runs_dir),
        )

    def room(self, node: str, free_gb: float | None) -> int | None:
        """Bytes for more images on a node of a cluster, or on this host; less than 0 under a
        reserve, and None where nobody knows.

        `free_gb` is what the engine says, where it does.
        """
        rooms = [] if free_gb is None else [free_gb - self.reserve_gb]
        if self.takes_from_runs and not node:
            rooms.append(shutil.disk_usage(self.runs_dir).free / GB - self.min_free_gb)
        return round(min(rooms) * GB) if rooms else None


def _takes_from(host: Host, runs_dir: Path) -> bool:
    if host.place is Place.VIRTUAL_MACHINE:
        return True
    if host.place is Place.ELSEWHERE or not os.path.isdir(host.images_dir):
        return False
    return os.stat(host.images_dir).st_dev == os.stat(runs_dir).st_dev
