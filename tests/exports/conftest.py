"""A made-up run that exports are made of: two instances failed whatever was tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Evidence
from orchestrator.exports.base import RunToExport
from orchestrator.made_up.benchmark import made_up_benchmark
from orchestrator.made_up.write import write_made_up_run
from orchestrator.paths import RunPaths
from orchestrator.run.export import read_run

INSTANCES = 40
LEFT = 2
ODD = "half \ud83d pair, NUL \0, \x1b[31mred\x1b[0m, \u202ebidi, </script>, \r\n\u2028"
ODD_STEPS = (
    Step(ODD, ODD, ODD, None, 1_795_210_200.25, 10, 20),
    Step("no command", "", "", "Your answer held 0 commands"),
    Step("", "", ""),
    Step("cut", "cat big", "x" * 100_000, "x ... x", 1_795_210_300.0, None, 0),
)


@pytest.fixture(scope="session")
def exported_paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    rows = made_up_benchmark(INSTANCES, seed=5)
    root = tmp_path_factory.mktemp("runs") / "made-up"
    return write_made_up_run(root, rows, seed=5, failures_left=LEFT)


@pytest.fixture(scope="session")
def run(exported_paths: RunPaths) -> RunToExport:
    return read_run(exported_paths)


@pytest.fixture
def odd_evidence(run: RunToExport) -> Evidence:
    """Of an instance whose texts no UTF-8 can hold."""
    evidence = next(e for e in run.reader.read_all() if e.grade is not None)
    return replace(evidence, steps=ODD_STEPS, patch=ODD)


@pytest.fixture
def run_copy(exported_paths: RunPaths, tmp_path: Path) -> Callable[[], RunPaths]:
    """A copy of the run's folder, to damage."""

    def copy() -> RunPaths:
        shutil.copytree(exported_paths.root, tmp_path / "copies" / "made-up")
        return RunPaths(tmp_path / "copies" / "made-up")

    return copy
