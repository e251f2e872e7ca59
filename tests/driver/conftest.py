"""Runs on a fake executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.driven_runs import Run

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths


@pytest.fixture
def run(make_config: Callable[..., RunConfig], demo: Dataset) -> Iterator[Callable[..., Run]]:
    opened: list[Journal] = []

    def make(count: int = 4, settings: dict[str, Any] | None = None, **more: Any) -> Run:
        run_id = more.pop("run_id", "a-run")
        config = make_config(more.pop("agent", "mini"), settings, run_id=run_id)
        few = Dataset(demo.instances[:count], demo.answers, demo.sha256)
        paths = RunPaths(Path(config.runs_dir) / config.run_id)
        paths.root.mkdir(parents=True)
        opened.append(Journal.create(paths.journal, config.run_id, few.instances))
        return Run(config, few, opened[-1], **more)

    yield make
    for journal in opened:
        journal.close()
