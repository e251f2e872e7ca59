"""The programs in scripts/ that are Python still find what they import."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

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
