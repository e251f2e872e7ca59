"""A benchmark of four instances, whose images a fake engine has, or its registry."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import fake_engine
from support.benchmark import as_jsonl, row
from support.fake_engine import IDS, IMAGES, FakeEngine, sizes_of

from orchestrator.ahead import fetch, wanted
from orchestrator.config import RunRequest


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A registry has all images, and the engine none."""
    monkeypatch.setattr(wanted, "find_sizes", sizes_of)
    monkeypatch.setattr(fetch, "TICK_S", 0.01)
    engine = fake_engine.new_engine()
    engine.registry = dict.fromkeys(IMAGES, 10**9)
    return engine


@dataclass
class Asked:
    """A request, and what was said of it."""

    request: RunRequest
    said: io.StringIO
    console: Console


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Asked]:
    """A request for the benchmark; keywords are settings, with `__` for a dot."""

    def make(**settings: Any) -> Asked:
        file = tmp_path / "four.jsonl"
        as_jsonl(file, [row(instance_id) for instance_id in IDS])
        dotted = {key.replace("__", "."): value for key, value in settings.items()}
        said = io.StringIO()
        return Asked(
            RunRequest(
                str(file),
                runs_dir=str(tmp_path / "runs"),
                settings={"cluster.sandbox.kind": fake_engine.KIND, **dotted},
            ),
            said,
            Console(file=said, width=400),
        )

    return make
