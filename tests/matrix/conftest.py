"""A matrix whose runs are real but for their rollouts."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.played_matrix import Bench, PlayedRuns

from orchestrator.matrix import night


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedRuns:
    runs = PlayedRuns()
    monkeypatch.setattr(night, "run_sessions", runs)
    return runs


@pytest.fixture
def bench(tmp_path: Path, played: PlayedRuns) -> Bench:
    return Bench(tmp_path)
