"""Predictions of anybody's, in every shape that the official harness takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.grading import read_predictions
from orchestrator.errors import ConfigError
from orchestrator.types import Prediction


def row(instance_id: str, patch: str | None = "diff", model: str = "m") -> dict[str, Any]:
    return {"instance_id": instance_id, "model_name_or_path": model, "model_patch": patch}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


ROWS = [row("a"), row("b", None)]
SHAPES = {
    "lines.jsonl": "\n\n".join(map(json.dumps, ROWS)) + "\n",
    "list.json": json.dumps(ROWS),
    "mapping.json": json.dumps({r["instance_id"]: r for r in ROWS}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_official_shape_is_read(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, SHAPES[name])

    assert read_predictions(path) == [Prediction("a", "m", "diff"), Prediction("b", "m", "")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "needs instance_id"),
        (json.dumps({"instance_id": "a"}), "needs instance_id"),
        ("7", "needs instance_id"),
        ("", "holds none"),
        ("\n".join(json.dumps(row("a")) for _ in "12"), "more than one for a"),
        (f"{json.dumps(row('a'))}\n{json.dumps(row('b', model='n'))}", "more than one model"),
    ],
)
def test_what_can_not_be_graded_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path / "preds.jsonl", text)

    with pytest.raises(ConfigError, match=says) as caught:
        read_predictions(path)

    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_predictions(tmp_path / "none.jsonl")
