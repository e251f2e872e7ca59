"""How long rollouts took before: what earlier runs say, and nothing else in their folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import RunConfig
from orchestrator.config.yaml_files import dump_yaml
from orchestrator.journal import Journal
from orchestrator.journal.past import MAX_RUNS, PastRuns, PastSeconds
from orchestrator.paths import RunPaths
from orchestrator.types import (
    GradeReason,
    GradeRecord,
    Instance,
    Outcome,
    RolloutKey,
    RolloutRecord,
    Usage,
    patch_sha256,
)

MakeConfig = Callable[..., RunConfig]


def instance(name: str, repo: str = "django/django") -> Instance:
    return Instance(name, repo, "", "", f"image-{name}")


ALL = [instance("a"), instance("b"), instance("c", "sympy/sympy"), instance("d", "psf/requests")]


@pytest.fixture
def add_run(tmp_path: Path, make_config: MakeConfig) -> Callable[..., Path]:
    """A run of rollouts that took these seconds, by instance."""

    def add(
        name: str,
        seconds: dict[str, float],
        *,
        agent: str = "mini",
        graded: dict[str, float] | None = None,
        **more: float,
    ) -> Path:
        paths = RunPaths(tmp_path / name)
        paths.root.mkdir()
        config = make_config(agent, run_id=name)
        paths.config.write_text(dump_yaml(config.model_dump(mode="json")), encoding="utf-8")
        of = [i for i in ALL if i.instance_id in seconds]
        with Journal.create(paths.journal, name, of) as journal:
            for instance_id, took_s in seconds.items():
                journal.append_rollout(
                    RolloutRecord(
                        RolloutKey(name, instance_id, 1),
                        Outcome.SUBMITTED,
                        usage=Usage(held_s=more.get("held_s", 0.0)),
                        started_at=1000.0,
                        ended_at=1000.0 + took_s,
                        phases_s={"image": more.get("image_s", 0.0)},
                    )
                )
            for instance_id, took_s in (graded or {}).items():
                journal.append_grade(
                    GradeRecord(
                        RolloutKey(name, instance_id, 1),
                        patch_sha256(""),
                        resolved=took_s > 0,
                        reason=GradeReason.TESTS,
                        started_at=2000.0,
                        ended_at=2000.0 + took_s,
                        phases_s={"image": more.get("image_s", 0.0)},
                    )
                )
        return paths.root

    return add


def found(tmp_path: Path, model: str = "scripted", agent: str = "mini") -> dict[str, float]:
    return known(PastRuns.read(tmp_path).rollouts(model, agent))


def known(past: PastSeconds) -> dict[str, float]:
    found = {i.instance_id: past.seconds(i) for i in ALL}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def test_an_instance_takes_what_it_took_before_and_else_what_its_repository_did(
    tmp_path: Path, add_run: Callable[..., Path]
) -> None:
    add_run("one", {"a": 100.0})
    add_run("two", {"a": 300.0, "c": 50.0})

    assert found(tmp_path) == {"a": 200.0, "b": 200.0, "c": 50.0}


def test_other_models_and_agents_count_for_repositories_alone(
    tmp_path: Path, add_run: Callable[..., Path]
) -> None:
    add_run("one", {"a": 100.0, "b": 200.0})

    assert found(tmp_path, model="another") == {"a": 150.0, "b": 150.0}
    assert found(tmp_path, agent="another") == {"a": 150.0, "b": 150.0}


def test_agents_without_a_model_say_nothing_of_rollouts(
    tmp_path: Path, add_run: Callable[..., Path]
) -> None:
    add_run("one", {"a": 1.0}, agent="gold")
    assert found(tmp_path) == {}

    add_run("two", {"a": 600.0})
    assert found(tmp_path, model="", agent="gold") == {}, "nor does anybody say anything of theirs"


def test_a_grade_takes_what_it_took_before_whoever_made_the_patch(
    tmp_path: Path, add_run: Callable[..., Path]
) -> None:
    add_run("one", {"a": 1.0, "c": 1.0}, graded={"a": 30.0, "c": 5.0})
    add_run("two", {"a": 1.0, "b": 1.0}, agent="gold", graded={"a": 50.0, "b": 90.0}, image_s=20.0)

    assert known(PastRuns.read(tmp_path).grades) == {"a": 30.0, "b": 70.0, "c": 5.0}


def test_grades_of_predictions_that_others_made_count_too(
    tmp_path: Path, add_run: Callable[..., Path]
) -> None:
    run = RunPaths(add_run("one", {"a": 1.0}, agent="gold", graded={"a": 30.0}))
    run.config.write_text("agent: null\npredictions:\n  name: theirs\n", encoding="utf-8")

    assert known(PastRuns.read(tmp_path).grades) == {"a": 30.0, "b": 30.0}


def test_outages_and_pulls_are_no_part_of_it(tmp_path: Path, add_run: Callable[..., Path]) -> None:
    add_run("one", {"a": 1000.0, "c": 500.0}, held_s=300.0, image_s=200.0)

    assert found(tmp_path)["a"] == 500.0
    assert "c" not in found(tmp_path), "nothing is left of it"


@pytest.mark.slow
def test_only_the_newest_runs_are_read(
    tmp_path: Path, add_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        folder = add_run(f"r{number}", {"a": 100.0 * (number + 1)})
        os.utime(RunPaths(folder).journal, (number, number))
    monkeypatch.setattr("orchestrator.journal.past.MAX_RUNS", 2)

    assert found(tmp_path)["a"] == 250.0
    assert MAX_RUNS > 2


def _no_folder(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("a file", encoding="utf-8")


def _foreign_database(root: Path) -> None:
    RunPaths(root).journal.unlink()
    with sqlite3.connect(RunPaths(root).journal) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()


ODD = {
    "a file": _no_folder,
    "no journal": lambda root: RunPaths(root).journal.unlink(),
    "no database": lambda root: RunPaths(root).journal.write_bytes(b"\0" * 5000),
    "a foreign database": _foreign_database,
    "no configuration": lambda root: RunPaths(root).config.unlink(),
    "another configuration": lambda root: RunPaths(root).config.write_bytes(b"model: [\xff\x00"),
    "a folder for a configuration": lambda root: (
        RunPaths(root).config.unlink(),
        RunPaths(root).config.mkdir(),
    ),
    "a folder for a journal": lambda root: (
        RunPaths(root).journal.unlink(),
        RunPaths(root).journal.mkdir(),
    ),
    "a link into nothing": lambda root: (
        RunPaths(root).journal.unlink(),
        RunPaths(root).journal.symlink_to("nowhere"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_is_no_run_is_left_out(
    odd: Callable[[Path], object], tmp_path: Path, add_run: Callable[..., Path]
) -> None:
    add_run("sound", {"a": 100.0})
    odd(add_run("odd", {"a": 900.0}))

    assert found(tmp_path)["a"] == 100.0


def test_no_folder_of_runs_is_no_problem(tmp_path: Path) -> None:
    past = PastRuns.read(tmp_path / "none")

    assert (past.rollouts("m", "a"), past.grades) == (PastSeconds(), PastSeconds())


def test_reading_changes_nothing(tmp_path: Path, add_run: Callable[..., Path]) -> None:
    root = add_run("one", {"a": 100.0})
    before = {path: path.read_bytes() for path in root.iterdir()}

    found(tmp_path)

    assert {path: path.read_bytes() for path in root.iterdir()} == before
