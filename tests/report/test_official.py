"""The official harness's report of a run, from what lies in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.paths import RunPaths
from orchestrator.report.official import write_official_report
from orchestrator.types import Prediction

pytestmark = pytest.mark.xdist_group("harness")


def test_where_nothing_was_predicted_nothing_is_written(
    make_config: Callable[..., RunConfig], demo: Dataset
) -> None:
    config = make_config("nop")
    paths = RunPaths.of(config.runs_dir, config.run_id)

    assert write_official_report(config, paths, demo.instances, {}) is None
    assert not paths.root.exists()


def test_empty_patches_and_patches_without_a_grade_are_counted(
    make_config: Callable[..., RunConfig], demo: Dataset
) -> None:
    config = make_config("nop")
    paths = RunPaths.of(config.runs_dir, config.run_id)
    paths.root.mkdir(parents=True)
    empty, ungraded = (instance.instance_id for instance in demo.instances[:2])
    predictions = {empty: Prediction(empty, "nop", ""), ungraded: Prediction(ungraded, "nop", "x")}

    written = write_official_report(config, paths, demo.instances, predictions)

    assert written == paths.root / "nop.a-run.json"
    found = json.loads(written.read_text(encoding="utf-8"))
    assert found["total_instances"] == 12
    assert found["submitted_instances"] == 2
    assert found["empty_patch_ids"] == [empty]
    assert found["resolved_instances"] == 0
