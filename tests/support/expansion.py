"""Images of text, which are larger on a disk than official ones, in tests' models of disks."""

from __future__ import annotations

import pytest

EXPANSION = 2.8
"""Bytes on disk for a compressed one."""


@pytest.fixture(autouse=True)
def images_expand(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("images.node", "images.forecast", "ahead.plan"):
        monkeypatch.setattr(f"orchestrator.{module}.EXPANSION", EXPANSION)
