"""Predictions as the harness and this program read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.exports.base import RunToExport
from orchestrator.exports.predictions import export_predictions
from orchestrator.predictions import read_predictions

pytestmark = pytest.mark.slow


def test_the_official_harness_reads_the_exported_predictions(
    run: RunToExport, tmp_path: Path
) -> None:
    from swebench.harness.utils import get_predictions_from_file

    done = export_predictions(run, tmp_path)

    found = get_predictions_from_file(str(done.path), "made-up", "test")

    assert {row["instance_id"]: row["model_patch"] for row in found} == run.patches
    assert {row["model_name_or_path"] for row in found} == {"made-up__mini"}
    assert done.count == f"{len(found)} predictions"


def test_grade_reads_them_too(run: RunToExport, tmp_path: Path) -> None:
    done = export_predictions(run, tmp_path)

    found = read_predictions(done.path, "predictions")

    assert [p.instance_id for p in found] == [
        i for i in run.reader.state.instances if i in run.patches
    ]


def test_instances_without_an_outcome_are_told(run: RunToExport, tmp_path: Path) -> None:
    done = export_predictions(run, tmp_path)

    (remark,) = done.remarks
    assert remark.startswith("2 instances without an outcome have none")
