"""The programs in scripts/ that are Python still find what they import."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from orchestrator.made_up.rows import made_up_rows

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"
PROGRAMS = [
    path
    for path in sorted(SCRIPTS.iterdir())
    if path.is_file() and "python" in path.read_text(encoding="utf-8").split("\n", 1)[0]
]


def test_there_are_some() -> None:
    assert {"picture", "chaos.py"} <= {path.name for path in PROGRAMS}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_it_finds_what_it_imports(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])

    runpy.run_path(str(path), run_name="imported")


def test_the_demo_of_the_report_makes_a_run_up_of_the_rows_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{json.dumps(row)}\n" for row in made_up_rows(8, seed=0))
    (tmp_path / "SWE-bench_Lite-test.jsonl").write_text(rows, encoding="utf-8")
    arguments = ["--dataset-dir", str(tmp_path), "--to", str(tmp_path / "runs" / "shown")]
    monkeypatch.setattr(sys, "argv", ["report-demo", *arguments, "--failures", "1"])

    from orchestrator.made_up.__main__ import main

    assert main() == 0
    written = Path(capsys.readouterr().out.strip())
    assert written.parent == tmp_path / "runs" / "shown"
    assert "made up by a seeded model of outcomes" in written.read_text(encoding="utf-8")
    assert main() == 2
    assert "is there already: name a new folder" in capsys.readouterr().err
