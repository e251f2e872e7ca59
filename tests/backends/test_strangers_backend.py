"""A backend that is named by its import path does what ours do, with no file of ours changed.

The contract suites of this folder are held against it too.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import CommandLine
from support.specs import STRANGER
from support.strangers_backend import boxes

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]


@pytest.fixture
def orchestrate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line, for which the stranger's module is on the path."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return CommandLine(tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.ray
def test_the_demo_runs_in_a_strangers_sandboxes(orchestrate: CommandLine) -> None:
    gold = orchestrate.launch(STRANGER, "gold", "--agent", "gold")

    assert (gold.exit_code, gold.report["resolved"]) == (0, 12), gold.stderr
    assert f"{STRANGER} sandboxes isolate nothing" in gold.stderr
    run_dir = orchestrate.runs_dir / "gold"
    sandbox = json.loads((run_dir / "lock.json").read_text(encoding="utf-8"))["sandbox"]
    assert (sandbox["kind"], sandbox["engine"], sandbox["network"]) == (STRANGER, "toy 1", True)
    assert not [box for box, label in boxes() if label["run_dir"] == str(run_dir)]

    nop = orchestrate.launch(STRANGER, "nop", "--agent", "nop", "--instances", "orchard__.*")
    assert (nop.exit_code, nop.report["resolved"], nop.report["empty"]) == (0, 0, 3), nop.stderr


def test_a_strangers_backend_that_can_not_be_imported_is_reported_in_one_line(
    tmp_path: Path,
) -> None:
    ended = CommandLine(tmp_path / "runs").launch("no.such:Backend", "a-run", "--agent", "gold")

    assert ended.exit_code == 2
    assert ended.stderr.strip() == (
        "error: kind 'no.such:Backend' can't be imported: No module named 'no'"
    )
