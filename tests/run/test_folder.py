"""A run's folder: laid out so that a half-made one is no run, and given its reports at the end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.benchmark import as_jsonl, row
from support.old_run import lay_out_old_run

from orchestrator.backends import Host
from orchestrator.config import RunConfig, load_run_config
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.doctor.examine import Checked
from orchestrator.errors import ConfigError, JournalError
from orchestrator.evidence.taxonomy import findings_of
from orchestrator.journal import Journal, read_journal
from orchestrator.paths import RunPaths
from orchestrator.run.folder import (
    as_rollouts,
    create_run,
    evidence_of,
    open_dataset,
    record_rollouts,
    write_reports,
)
from orchestrator.run.lock import RunLock, make_lock
from orchestrator.types import (
    GradeReason,
    GradeRecord,
    Instance,
    Outcome,
    Prediction,
    RolloutKey,
    RolloutResult,
    patch_sha256,
)

LOCK = RunLock(versions={"python": "3.11"})


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "runs" / "a-run")


@pytest.fixture
def created(paths: RunPaths, demo_config: RunConfig, demo: Dataset) -> RunPaths:
    create_run(paths, demo_config, demo, LOCK)
    return paths


def predictions(instance: Instance, other: Instance) -> list[Prediction]:
    return [
        Prediction(instance.instance_id, "somebody", "a diff\n"),
        Prediction(other.instance_id, "somebody", ""),
    ]


def test_a_new_run_has_its_configuration_its_lock_and_an_empty_journal(
    created: RunPaths, demo_config: RunConfig, demo: Dataset
) -> None:
    assert load_run_config(created.config) == demo_config
    assert RunLock.read(created) == LOCK
    state = read_journal(created.journal)
    assert list(state.instances) == [instance.instance_id for instance in demo.instances]
    assert state.rollouts == ()


def test_the_journal_comes_last_so_that_a_half_made_folder_is_no_run(
    paths: RunPaths, demo_config: RunConfig, demo: Dataset
) -> None:
    paths.journal.mkdir(parents=True)  # in the journal's way
    with pytest.raises(JournalError):
        create_run(paths, demo_config, demo, LOCK)
    assert paths.config.is_file()
    assert paths.lock.is_file()
    assert paths.rows.is_file()

    paths.journal.rmdir()
    create_run(paths, demo_config, demo, LOCK)
    assert read_journal(paths.journal).run_id == "a-run"


def test_predictions_of_others_are_first_attempts_that_have_ended(instance: Instance) -> None:
    other = Instance("a__b-1", "a/b", "c0ffee", "an issue", "image")

    made, empty = as_rollouts("a-run", predictions(instance, other))

    assert made.key == RolloutKey("a-run", instance.instance_id, 1)
    assert (made.outcome, made.patch) == (Outcome.SUBMITTED, "a diff\n")
    assert (empty.outcome, empty.patch) == (Outcome.GAVE_UP, "")
    assert 0 < made.record.started_at == made.record.ended_at


def test_a_rollouts_files_are_there_before_its_row(created: RunPaths, demo: Dataset) -> None:
    made: list[RolloutResult] = as_rollouts("a-run", predictions(*demo.instances[:2]))
    twice = [*made, made[0]]

    with Journal.open(created.journal) as journal:
        with pytest.raises(JournalError, match="UNIQUE"):
            record_rollouts(created, journal, twice)
        rows = journal.state().rollouts

    assert [record.key for record in rows] == [result.key for result in made]
    for record in rows:
        assert patch_sha256(created.patch(record.key).read_text()) == record.patch_sha256
        assert (created.rollout(record.key) / "result.json").is_file()


@pytest.mark.slow
def test_reports_are_written_from_the_journal_for_people_programs_and_the_harness(
    created: RunPaths, demo_config: RunConfig, demo: Dataset, instance: Instance
) -> None:
    (made,) = as_rollouts("a-run", [Prediction(instance.instance_id, "somebody", "a diff\n")])
    verdict = GradeRecord(
        made.key, patch_sha256("a diff\n"), resolved=True, reason=GradeReason.TESTS
    )
    with Journal.open(created.journal) as journal:
        record_rollouts(created, journal, [made])
        journal.append_grade(verdict)
        report = write_reports(demo_config, created, demo, journal.state(), LOCK)

    assert (report.resolved_ids, report.versions) == ((instance.instance_id,), {"python": "3.11"})
    assert json.loads(created.report_json.read_text()) == json.loads(json.dumps(report.as_dict()))
    assert instance.instance_id in created.report_md.read_text()
    official = json.loads((created.root / "scripted__mini.a-run.json").read_text())
    assert official["submitted_ids"] == [instance.instance_id]


@pytest.fixture
def of_rows(tmp_path: Path, demo_config: RunConfig) -> tuple[Path, RunConfig, RunPaths]:
    """A run of a file's two rows, its configuration and its folder."""
    source = tmp_path / "rows.jsonl"
    as_jsonl(source, [row("a__b-1"), row("a__b-2")])
    config = demo_config.model_copy(update={"benchmark": Benchmark(name="b", source=str(source))})
    paths = RunPaths(tmp_path / "runs" / "a-run")
    dataset = load_dataset(config.benchmark)
    create_run(paths, config, dataset, lock_of(config, dataset))
    return source, config, paths


def lock_of(config: RunConfig, dataset: Dataset) -> RunLock:
    return make_lock(config, dataset, Checked(Host("process", 8.0, 2)), None)


@pytest.mark.parametrize(
    ("rows", "remark"),
    [
        ([row("a__b-1"), row("a__b-2")], ""),
        ([row("a__b-2"), row("a__b-1")], "the benchmark has changed since; the run goes on"),
        ([row("a__b-1", patch="x")], "the benchmark has changed since"),
        ([row("a__b-1", image="Not an image")], "the benchmark can't be read as it was any more"),
        ([], "has no rows"),
        (None, "No such file or directory"),
    ],
)
def test_a_run_has_its_own_rows_whatever_becomes_of_its_dataset(
    of_rows: tuple[Path, RunConfig, RunPaths], rows: list[Any] | None, remark: str
) -> None:
    source, config, paths = of_rows
    began_with = load_dataset(config.benchmark)
    source.unlink()
    if rows is not None:
        as_jsonl(source, rows)

    found, said = open_dataset(paths, config, RunLock.read(paths))

    assert found == began_with
    assert remark in said
    assert bool(said) == bool(remark)


def test_the_hub_is_not_asked_for_rows_that_the_run_has(
    of_rows: tuple[Path, RunConfig, RunPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config, paths = of_rows
    hub = Benchmark(name="b", source="org/of-the-hub")
    monkeypatch.setitem(sys.modules, "datasets", None)  # who imports it fails

    found, said = open_dataset(
        paths, config.model_copy(update={"benchmark": hub}), RunLock.read(paths)
    )

    assert [i.instance_id for i in found.instances] == ["a__b-1", "a__b-2"]
    assert said == ""


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"{}\n"])
def test_rows_that_somebody_has_changed_are_told_in_one_line(
    of_rows: tuple[Path, RunConfig, RunPaths], data: bytes
) -> None:
    _, config, paths = of_rows
    paths.rows.write_bytes(data)

    with pytest.raises((JournalError, ConfigError), match=r"rows\.jsonl"):
        open_dataset(paths, config, RunLock.read(paths))


def evidence_in(folder: RunPaths) -> list[bool]:
    """Whether the gold patch is known, of every instance of a run that nobody has open."""
    state = read_journal(folder.journal)
    evidence = evidence_of(folder, load_run_config(folder.config), state, RunLock.read(folder))
    return [bool(found.gold_patch) for found in evidence.read_all()]


def test_a_report_of_a_run_that_nobody_has_open_knows_its_gold_patches(created: RunPaths) -> None:
    assert evidence_in(created) == [True] * 12


@pytest.mark.parametrize("rows", [None, "", "{", '{"instance_id": 3}\n', "\0"])
def test_a_report_does_without_rows_that_are_gone_or_changed_and_asks_no_hub(
    created: RunPaths, rows: str | None
) -> None:
    created.rows.unlink()
    if rows is not None:
        created.rows.write_text(rows, encoding="utf-8")

    assert evidence_in(created) == [False] * 12


def test_a_run_of_an_old_version_has_causes_too(tmp_path: Path) -> None:
    paths = RunPaths(lay_out_old_run(tmp_path))
    config, state = load_run_config(paths.config), read_journal(paths.journal)

    found = findings_of(evidence_of(paths, config, state, RunLock.read(paths)))

    assert list(found) == list(state.instances)
    unresolved = [
        i
        for i, row in state.outcomes.items()
        if not row.has_patch or (i in state.verdicts and not state.verdicts[i].resolved)
    ]
    assert [i for i, finding in found.items() if finding.cause] == unresolved
