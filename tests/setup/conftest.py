"""Folders that hold nothing yet, on a machine where nothing is found by looking."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.network import tailnet
from orchestrator.setup import discover


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of profiles, which is not there yet."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(discover, "PORTS", (9,))
    monkeypatch.setattr(tailnet, "find_client", lambda: None)
    return tmp_path / "config"
