"""What this host has: its memory, and what is free on its disks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from orchestrator.backends.host import Host
from orchestrator.driver.capacity import Memory


def memory_here() -> Memory:
    memory = psutil.virtual_memory()
    return Memory(memory.total / 1e9, memory.available / 1e9)


def busy_cores() -> float:
    """How many of this host's cores were busy since this was last asked, by whatever; those that
    wait for a disk are idle. The first answer means nothing."""
    return psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)


def free_disk_gb(folder: Path) -> float:
    """Of the disk that a folder lies on, or would lie on."""
    return shutil.disk_usage(nearest_folder(folder)).free / 1e9


def free_for_images_gb(host: Host, runs_dir: Path) -> float:
    """Of the disk that the images lie on; of the runs' disk where this system does not see that."""
    return free_disk_gb(Path(host.images_dir) if host.images_dir else runs_dir)


def nearest_folder(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    folder = folder.resolve()
    while not os.path.exists(folder):
        folder = folder.parent
    return folder
