"""The leaderboard's folder: whole, and told what it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from orchestrator.exports.base import Exported, RunToExport
from orchestrator.exports.submission import Submitter, export_submission
from orchestrator.paths import RunPaths
from orchestrator.run.export import read_run
from orchestrator.types import GradeReason

pytestmark = pytest.mark.slow

SAID = Submitter(
    name="An entry",
    authors="A. Person",
    site="https://example.org",
    report="https://example.org/report",
    org="Example",
    model_is_open=True,
    system_is_open=False,
)


@pytest.fixture(scope="module")
def done(run: RunToExport, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_submission(run, tmp_path_factory.mktemp("to"), SAID)


def test_the_folder_has_what_the_leaderboard_asks_for(run: RunToExport, done: Exported) -> None:
    from swebench.harness.utils import get_predictions_from_file

    assert done.path.name == "20261120_mini-made-up"
    assert {path.name for path in done.path.iterdir()} == {
        *("all_preds.jsonl", "metadata.yaml", "README.md", "trajs", "logs"),
    }
    found = get_predictions_from_file(str(done.path / "all_preds.jsonl"), "made-up", "test")
    assert {row["instance_id"] for row in found} == set(run.reader.state.outcomes)


def test_every_instance_has_one_reasoning_trace_named_by_it(
    run: RunToExport, done: Exported
) -> None:
    names = {path.stem for path in (done.path / "trajs").iterdir()}

    assert names == set(run.reader.state.outcomes)


def test_every_graded_instance_has_the_harness_files(run: RunToExport, done: Exported) -> None:
    for instance_id, grade in run.reader.state.verdicts.items():
        found = {path.name for path in (done.path / "logs" / instance_id).iterdir()}
        assert {"patch.diff", "run_instance.log"} <= found
        assert ("report.json" in found) == (
            grade.reason in (GradeReason.TESTS, GradeReason.NO_TEST_RESULTS)
        )


def test_what_the_submitter_says_stands_in_the_metadata(done: Exported) -> None:
    metadata = yaml.safe_load((done.path / "metadata.yaml").read_text())

    assert metadata["info"] == {
        "name": "An entry",
        "authors": "A. Person",
        "logo": "",
        "report": "https://example.org/report",
        "site": "https://example.org",
    }
    assert metadata["tags"]["os_model"] is True
    assert metadata["tags"]["os_system"] is False
    assert metadata["tags"]["system"] == {"attempts": "1"}
    assert metadata["tags"]["checked"] is False
    assert not [line for line in done.missing if "metadata.yaml" in line]


@pytest.mark.parametrize("name", [f.name for f in fields(Submitter) if f.name != "name"])
def test_what_the_submitter_has_not_said_is_one_line_with_its_option(
    run: RunToExport, tmp_path: Path, name: str
) -> None:
    blank = getattr(Submitter(), name)

    done = export_submission(run, tmp_path, replace(SAID, **{name: blank}))

    (line,) = (line for line in done.missing if line.startswith("metadata.yaml: "))
    assert "--" in line


def test_what_keeps_the_leaderboard_from_taking_the_run_is_told(done: Exported) -> None:
    told = "\n".join(done.missing)

    assert "the leaderboard has no split for made-up.jsonl test" in told
    assert "the run is quarantined" in told or "the run is unfinished" in told
    assert told.count("all_preds.jsonl: no prediction for ") == 2
    assert "README.md: a description of the system" in told


def test_a_part_of_a_split_is_told(run: RunToExport, tmp_path: Path) -> None:
    config = run.reader.config
    benchmark = config.benchmark.model_copy(update={"source": "SWE-bench/SWE-bench_Lite"})
    reader = replace(run.reader, config=config.model_copy(update={"benchmark": benchmark}))

    done = export_submission(replace(run, reader=reader), tmp_path, SAID)

    assert "40 of the 300 instances of lite: the run covers no more" in done.missing
    assert done.remarks == ("it belongs into evaluation/lite/ of SWE-bench/experiments",)


def _remove_trajectory(paths: RunPaths, run: RunToExport) -> str:
    rollout = next(iter(run.reader.state.outcomes.values()))
    (paths.rollout(rollout.key) / "trajectory.json").unlink()
    return f"trajs/: none of {rollout.instance_id}"


def _put_a_folder_in_its_place(paths: RunPaths, run: RunToExport) -> str:
    told = _remove_trajectory(paths, run)
    instance_id = told.rpartition(" ")[2]
    key = run.reader.state.outcomes[instance_id].key
    (paths.rollout(key) / "trajectory.json").mkdir()
    return told


def _remove_log(paths: RunPaths, run: RunToExport) -> str:
    grades = run.reader.state.verdicts.values()
    grade = next(grade for grade in grades if grade.reason is GradeReason.TESTS)
    folder = paths.harness_log(run.reader.config.model_name_or_path, grade.key)
    (folder / "test_output.txt").unlink()
    return f"logs/{grade.instance_id}/test_output.txt: not in the run's folder any more"


def _remove_logs(paths: RunPaths, run: RunToExport) -> str:
    shutil.rmtree(paths.root / "logs")
    return "more like the last one"


@pytest.mark.parametrize(
    "damage", [_remove_trajectory, _put_a_folder_in_its_place, _remove_log, _remove_logs]
)
def test_files_that_are_gone_are_told_and_the_rest_is_exported(
    run: RunToExport,
    run_copy: Callable[[], RunPaths],
    tmp_path: Path,
    damage: Callable[[RunPaths, RunToExport], str],
) -> None:
    paths = run_copy()
    line = damage(paths, run)

    done = export_submission(read_run(paths), tmp_path / "to", SAID)

    assert any(line in told for told in done.missing)
    assert (done.path / "all_preds.jsonl").stat().st_size > 0


def test_the_readme_says_which_rollouts_had_another_try(run: RunToExport, done: Exported) -> None:
    redone = run.report.retries.rollouts
    assert redone

    text = (done.path / "README.md").read_text()

    assert f"{sum(redone.values())} rollouts failed by no doing of the agent's" in text
    assert all(f"{kind}: {count}" in text for kind, count in redone.items())


def test_remarks_of_the_report_stand_in_the_readme(done: Exported) -> None:
    """So that nobody reads a made-up number as a real one, say."""
    assert "made up by a seeded model of outcomes" in (done.path / "README.md").read_text()
