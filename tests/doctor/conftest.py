"""Cases of a benchmark whose images are afar, on an engine that is told of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import fake_engine
from support.benchmark import row
from support.fake_engine import IDS, KIND, FakeEngine, sizes_of

from orchestrator.config import RunRequest, load_config
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding
from orchestrator.doctor.examine import examine
from orchestrator.driver import image_night


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Nothing of the benchmark is there; nobody is asked for sizes."""
    monkeypatch.setattr(image_night, "find_sizes", lambda *given, **_: sizes_of(*given))
    return fake_engine.new_engine()


@pytest.fixture
def make_case(engine: FakeEngine, tmp_path: Path) -> Callable[..., Case]:
    """Of four instances by `gold`: `make_case({"cluster.images.reserve_gb": 5})`."""

    def make(settings: dict[str, Any] | None = None) -> Case:
        rows = tmp_path / "rows.jsonl"
        rows.write_text("\n".join(json.dumps(row(name)) for name in IDS), encoding="utf-8")
        given = {"cluster.sandbox.kind": KIND, "cluster.workers": 2} | (settings or {})
        request = RunRequest(
            str(rows), agent="gold", settings=given, runs_dir=str(tmp_path / "runs")
        )
        config = load_config(request)
        return Case(config, Path(config.runs_dir), request)

    return make


@pytest.fixture
def look() -> Callable[..., list[CheckFinding]]:
    """What one check finds in a case; what it raises is its only finding."""

    def find(case: Case, check: Check) -> list[CheckFinding]:
        return [finding for one in examine(case, [check]) for finding in one.findings]

    return find
