"""What this host has: which disk is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.specs import CONTAINERS

from orchestrator.driver import this_host
from orchestrator.driver.this_host import free_for_images_gb


def test_room_for_images_is_looked_for_on_their_own_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(this_host, "free_disk_gb", lambda folder: asked.append(folder) or 1.0)

    free_for_images_gb(replace(CONTAINERS, images_dir="/var/lib/docker"), tmp_path)
    free_for_images_gb(CONTAINERS, tmp_path)

    assert asked == [Path("/var/lib/docker"), tmp_path]
