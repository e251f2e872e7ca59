"""Predictions of anybody's, in every form that the official harness takes.

What is wrong with others is told as a line: see test_commands.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.grading import read_predictions
from orchestrator.errors import ConfigError

ROW = {"instance_id": "a", "model_name_or_path": "m", "model_patch": "diff\r\n"}
EMPTY = {"instance_id": "b", "model_name_or_path": "m", "model_patch": None}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", f"{json.dumps(ROW)}\n\n{json.dumps(EMPTY)}\n\n"),
        ("p.json", json.dumps([ROW, EMPTY])),
        ("p.json", json.dumps({"a": ROW, "b": EMPTY})),
    ],
)
def test_predictions_are_read_in_every_official_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    found, empty = read_predictions(tmp_path / name)

    assert found.as_dict() == ROW
    assert empty.as_dict() == EMPTY | {"model_patch": ""}


@pytest.mark.parametrize("text", ["5", "null", '"text"', "[5]"])
def test_json_that_holds_no_predictions_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match="--predictions"):
        read_predictions(tmp_path / "p.json")
