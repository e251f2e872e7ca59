"""`matrix`, and what other commands do with the name of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Ended
from support.played_matrix import PlayedRuns

from orchestrator.matrix import night

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]
TEXT = "benchmark: smoke\nmodels: [scripted, demo]\nagents: [mini, gold]\n"
CELLS = ["m.scripted.mini", "m.gold", "m.demo.mini"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say) -> str:
    """Options that name the runs of a matrix `m` that has ended."""
    monkeypatch.setattr(night, "run_sessions", PlayedRuns())
    (tmp_path / "mine.yaml").write_text(TEXT, encoding="utf-8")
    options = f"--runs-dir {tmp_path}/runs"
    ended = say(f"matrix {tmp_path}/mine.yaml --run-id m --sandbox process --json {options}")
    assert ended.exit_code == 0, ended.stderr
    assert [cell["run_ids"] for cell in ended.report["cells"]] == [[run_id] for run_id in CELLS]
    return options


def test_the_report_of_a_matrix_is_printed_again(say: Say, runs: str) -> None:
    shown = say(f"report m {runs}").succeeded()

    assert "no model" in shown
    assert "3 cells done" in shown
    again = json.loads(say(f"report m --json {runs}").succeeded())
    assert again["valid"] is True


def test_status_of_a_matrix_is_that_of_its_runs(say: Say, runs: str) -> None:
    rows = json.loads(say(f"status m --json {runs}").succeeded())
    assert [row["run_id"] for row in rows] == CELLS

    rows = json.loads(say(f"status --json {runs}").succeeded())
    assert sorted(row["run_id"] for row in rows) == sorted(CELLS)


def test_status_of_a_matrix_fits_80_columns_and_cuts_no_number(
    say: Say, runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    for command in ("status", "status m"):
        shown = say(f"{command} {runs}").succeeded()
        assert "…" not in shown
        assert shown.count("1 (100.0%)") == len(CELLS)
        assert max(map(len, shown.splitlines())) <= 80
    assert "m.gold" not in shown, "the title says m"


def test_each_cell_is_asked_for_by_its_own_name(say: Say, runs: str) -> None:
    assert json.loads(say(f"report m.gold --json {runs}").succeeded())["agent"] == "gold"
    assert len(json.loads(say(f"status m.gold --json {runs}").succeeded())) == 1
    assert say(f"resume m.gold --json {runs}").report["resolved"] == 1


def test_clean_takes_a_matrix_and_all_runs(say: Say, runs: str) -> None:
    assert say(f"clean m {runs}").succeeded() == "nothing to remove\n"
    assert say(f"clean {runs}").succeeded() == "nothing to remove\n"


def test_resume_of_a_matrix_that_is_done_says_so(say: Say, runs: str) -> None:
    shown = say(f"resume m {runs}").succeeded()

    assert "3 runs, 3 done before" in shown
    assert "3 cells done" in shown


def test_what_does_not_work_on_a_matrix_is_one_line(say: Say, runs: str) -> None:
    for command, says in {
        "grade m": "'m' is a matrix, and this works on one run",
        "decide m x --unresolved --because y": "'m' is a matrix",
        "resume mm": "did you mean 'm'",
        "launch smoke -a gold --sandbox process --run-id m": "exists",
        "launch smoke -a gold --sandbox process --run-id m.gold": "exists",
    }.items():
        say(f"{command} {runs}").assert_one_line(2, says)


def test_shipped_matrices_are_listed_with_what_they_compare(say: Say) -> None:
    rows = {row["name"]: row for row in json.loads(say("matrices --json").succeeded())}

    assert rows["evening"]["models"] == ["gemma-4-26b", "qwen3.5-35b"]
    assert "evening-played" in say("matrices").succeeded()


def test_a_dry_run_is_printed_and_writes_nothing(say: Say, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TEXT, encoding="utf-8")
    command = f"matrix {tmp_path}/mine.yaml --sandbox process --runs-dir {tmp_path}/runs --dry-run"

    assert "for 3 runs" in say(f"{command} --run-id m").succeeded()
    assert json.loads(say(f"{command} --json").succeeded())["problems"] == []
    assert not (tmp_path / "runs").exists()
