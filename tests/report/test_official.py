"""The official harness's report of a run, from what lies in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.rows import graded

from orchestrator.config import RunConfig
from orchestrator.config.schema import Predictions
from orchestrator.dataset import Dataset
from orchestrator.driver.files import save_grade
from orchestrator.errors import JournalError
from orchestrator.paths import RunPaths
from orchestrator.report.official import write_official_report
from orchestrator.types import GradeResult, Prediction, RolloutKey


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


@pytest.mark.parametrize("model", ["org/" + "m" * 300, "..", "🚀" * 80, "a\u2028b", "[/x] |"])
def test_a_model_of_any_name_has_its_report_beside_its_grades(
    make_config: Callable[..., RunConfig], demo: Dataset, model: str
) -> None:
    config = make_config("nop").model_copy(
        update={"agent": None, "predictions": Predictions(name=model)}
    )
    paths = RunPaths.of(config.runs_dir, "another-name-of-the-folder")
    name = demo.instances[0].instance_id
    report = json.dumps({name: {"resolved": True}}).encode()
    save_grade(config, paths, replace(of_run(name, config.run_id), files={"report.json": report}))

    written = write_official_report(
        config, paths, demo.instances, {name: Prediction(name, model, "x")}
    )

    assert written is not None
    assert written.parent == paths.root
    assert json.loads(written.read_text(encoding="utf-8"))["resolved_ids"] == [name]


@pytest.mark.parametrize("data", [b"[]", b'{"ID": 3}', b"\xff", b'{"ID": {"resolved": ['])
def test_a_file_of_the_harness_that_somebody_has_changed_is_told_or_an_error_of_its_instance(
    make_config: Callable[..., RunConfig], demo: Dataset, data: bytes
) -> None:
    config = make_config("nop")
    paths = RunPaths.of(config.runs_dir, config.run_id)
    name = demo.instances[0].instance_id
    odd = {"report.json": data.replace(b"ID", name.encode())}
    save_grade(config, paths, replace(of_run(name, config.run_id), files=odd))

    try:
        written = write_official_report(
            config, paths, demo.instances, {name: Prediction(name, "nop", "x")}
        )
    except JournalError as error:
        told = str(error)
        assert str(paths.harness_logs(config.run_id)) in told
        return
    assert written is not None
    assert json.loads(written.read_text(encoding="utf-8"))["error_ids"] == [name]


def of_run(instance_id: str, run_id: str) -> GradeResult:
    result = graded(instance_id, True)
    return replace(result, record=replace(result.record, key=RolloutKey(run_id, instance_id, 1)))
