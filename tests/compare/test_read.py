"""What can be named on the command line, and what is said of what can not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.published import write_made_up

from orchestrator.compare.read import read_sides
from orchestrator.config import RunRequest, load_config
from orchestrator.config.matrix import Matrix
from orchestrator.dataset import load_dataset
from orchestrator.errors import ConfigError
from orchestrator.journal import Journal
from orchestrator.made_up.facts import NAME, NOTE
from orchestrator.matrix.cells import CellRun
from orchestrator.matrix.record import MatrixRecord
from orchestrator.paths import MatrixPaths, RunPaths
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock, SandboxLock, versions
from orchestrator.types import Outcome, RolloutKey, RolloutRecord


def harness_report(folder: Path, name: str = "them.r1.json", **ids: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps({"schema_version": 2, "resolved_ids": [], **ids}), encoding="utf-8")
    return path


def test_a_report_of_predictions_of_others_is_a_side_and_its_errors_are_no_zeros(
    tmp_path: Path,
) -> None:
    path = harness_report(
        tmp_path,
        resolved_ids=["a"],
        unresolved_ids=["b"],
        empty_patch_ids=["c"],
        error_ids=["d"],
        submitted_ids=["a", "b", "c", "d"],
    )
    other = harness_report(tmp_path, "us.r1.json", resolved_ids=["a"])

    one, _ = read_sides([str(path), str(other)], tmp_path)

    assert one.name == "them.r1"
    assert one.shares == {"a": 1.0, "b": 0.0, "c": 0.0, "d": None}


def test_a_file_of_published_results_stands_for_all_of_its_systems(tmp_path: Path) -> None:
    file = write_made_up(tmp_path)

    assert len(read_sides([f"published:{file}"], tmp_path)) == 4
    (one, other) = read_sides(
        [f"published:{file}:system-1", f"published:{file}:system-3"], tmp_path
    )
    assert (one.name, other.name, one.instances) == ("system-1", "system-3", 60)


def test_a_number_alone_can_not_be_paired_and_is_told(tmp_path: Path) -> None:
    file = tmp_path / "numbers.yaml"
    file.write_text(
        "benchmark: lite\nresults: [{name: a, resolved: 1, instances: 3}]", encoding="utf-8"
    )

    with pytest.raises(ConfigError, match="how many instances 'a' resolved, and not which"):
        read_sides([f"published:{file}"], tmp_path)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["nothing", "else"], "nothing to compare by the name 'nothing'"),
        (["published:none.json", "x"], "No such file"),
        (["published:{file}:system-1"], "two or more"),
        (["published:{file}:system-1", "published:{file}:system-1"], "compared with itself"),
        (["published:{file}:sytem-1", "x"], "did you mean 'system-1'"),
        (["{file}", "x"], "write published:"),
        (["{folder}/bad.json", "x"], "is none of the harness's: resolved_ids: "),
        (["{folder}/both.json", "x"], "a__b-1 stands among the resolved and among the others"),
        (["{folder}/list.json", "x"], "is a list, and must be an object"),
    ],
)
def test_what_is_no_side_is_one_line(tmp_path: Path, names: list[str], problem: str) -> None:
    file = write_made_up(tmp_path)
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    harness_report(tmp_path, "both.json", resolved_ids=["a__b-1"], empty_patch_ids=["a__b-1"])
    told = [name.format(file=file, folder=tmp_path) for name in names]

    with pytest.raises(ConfigError) as caught:
        read_sides(told, tmp_path)

    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_made_up_run_and_one_that_is_quarantined_are_no_sides_without_a_word(
    tmp_path: Path,
) -> None:
    config = load_config(RunRequest("demo", run_id="odd", runs_dir=str(tmp_path)))
    dataset = load_dataset(config.benchmark)
    lock = RunLock(versions={**versions(), NAME: "seed 0"}, sandbox=SandboxLock(kind="process"))
    paths = RunPaths.of(config.runs_dir, config.run_id)
    create_run(paths, config, dataset, lock)
    with Journal.open(paths.journal) as journal:
        journal.begin_session()
        for instance in dataset.instances:
            key = RolloutKey("odd", instance.instance_id, 1)
            journal.append_rollout(RolloutRecord(key, Outcome.GAVE_UP))
    other = harness_report(tmp_path, resolved_ids=[i.instance_id for i in dataset.instances])

    run, _ = read_sides(["odd", str(other)], tmp_path)

    assert run.warnings == (
        f"odd: {NOTE}",
        "odd is quarantined: 12 of 12 rollouts ended without a patch",
    )


def attempts(runs_dir: Path, agents: Sequence[str]) -> MatrixPaths:
    """A matrix `both` whose runs, of these agents, have each resolved nothing."""
    runs = []
    for number, agent in enumerate(agents, 1):
        run_id = f"both.{number}"
        config = load_config(RunRequest("demo", agent=agent, run_id=run_id, runs_dir=str(runs_dir)))
        dataset, paths = load_dataset(config.benchmark), RunPaths.of(config.runs_dir, run_id)
        create_run(paths, config, dataset, RunLock())
        with Journal.open(paths.journal) as journal:
            for instance in dataset.instances:
                key = RolloutKey(run_id, instance.instance_id, 1)
                journal.append_rollout(RolloutRecord(key, Outcome.GAVE_UP))
        runs.append(
            CellRun(
                run_id=run_id,
                benchmark="demo",
                model=None,
                agent=agent,
                attempt=number,
                config=config,
            )
        )
    paths = MatrixPaths(runs_dir / "both")
    paths.root.mkdir()
    matrix = Matrix(name="both", benchmarks=("demo",), agents=tuple(dict.fromkeys(agents)))
    MatrixRecord(matrix_id="both", matrix=matrix, options={}, datasets={}, runs=tuple(runs)).write(
        paths
    )
    return paths


@pytest.mark.slow
def test_all_attempts_of_a_launch_are_one_side_by_the_id_that_they_share(tmp_path: Path) -> None:
    attempts(tmp_path, ["nop", "nop"])
    other = harness_report(tmp_path, unresolved_ids=["a"])

    by_id, _ = read_sides(["both", str(other)], tmp_path)
    by_folder, _ = read_sides([str(tmp_path / "both"), str(other)], tmp_path / "elsewhere")

    assert (by_id.name, by_id.attempts, by_id.kind) == ("both", 2, "2 runs of a matrix")
    assert set(by_id.shares.values()) == {0.0}
    assert by_folder.shares == by_id.shares


@pytest.mark.slow
def test_a_matrix_of_several_cells_is_no_side(tmp_path: Path) -> None:
    attempts(tmp_path, ["nop", "gold"])

    with pytest.raises(ConfigError, match=r"'both' is a matrix: name a cell, both:MODEL\.AGENT"):
        read_sides(["both", "else"], tmp_path)


def test_published_results_want_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        read_sides(["published:", "x"], tmp_path)
