from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.grading import read_predictions
from orchestrator.cli.options import make_request, run_folder
from orchestrator.config import load_config
from orchestrator.errors import ConfigError

ROW = {"instance_id": "a", "model_name_or_path": "m", "model_patch": "diff\r\n"}


def test_flags_go_over_settings() -> None:
    request = make_request("demo", settings=["selection.seed=1", "selection.slice=0:9"], seed=2)

    selection = load_config(request).selection
    assert (selection.seed, selection.slice) == (2, "0:9")


def test_a_seed_of_zero_is_a_seed() -> None:
    request = make_request("demo", settings=["selection.seed=1"], seed=0)

    assert load_config(request).selection.seed == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a,b", "c"], ("a", "b", "c")),
        (["django__(a,b)", "x{1,2}, y"], ("django__(a,b)", "x{1,2}", "y")),
        ([" a , ,b"], ("a", "b")),
    ],
)
def test_commas_separate_instances_but_not_within_brackets(
    given: list[str], expected: tuple[str, ...]
) -> None:
    request = make_request("demo", instances=given)

    assert load_config(request).selection.instances == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", json.dumps(ROW) + "\n\n"),
        ("p.json", json.dumps([ROW])),
        ("p.json", json.dumps({"a": ROW})),
    ],
)
def test_predictions_are_read_in_every_official_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    (found,) = read_predictions(tmp_path / name)

    assert found.as_dict() == ROW


def test_a_prediction_of_null_is_an_empty_patch(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps(ROW | {"model_patch": None}), encoding="utf-8")

    assert read_predictions(tmp_path / "p.jsonl")[0].model_patch == ""


@pytest.mark.parametrize("text", ["5", "null", '"text"', "[5]"])
def test_json_that_holds_no_predictions_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match="--predictions"):
        read_predictions(tmp_path / "p.json")


def test_a_run_is_found_by_its_id_or_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "run.yaml").touch()

    assert run_folder("r1", tmp_path) == tmp_path / "r1"
    assert run_folder(str(tmp_path / "r1"), Path("elsewhere")) == tmp_path / "r1"
