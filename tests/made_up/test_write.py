"""A made-up run is a run like any other, says that it is made up, and is the same for a seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from unidiff import PatchSet

from orchestrator.driver.plan import make_plan
from orchestrator.errors import ConfigError
from orchestrator.evidence.facts import Cause
from orchestrator.evidence.read import EvidenceReader
from orchestrator.evidence.taxonomy import findings_of
from orchestrator.journal import RunState, read_journal
from orchestrator.made_up.benchmark import BenchmarkRows, made_up_benchmark
from orchestrator.made_up.facts import NAME, NOTE, made_up_config
from orchestrator.made_up.fates import FateSubject, fates
from orchestrator.made_up.patches import Golds, PatchKind, make_patch
from orchestrator.made_up.write import write_made_up_run
from orchestrator.paths import RunPaths
from orchestrator.report.official import write_official_report
from orchestrator.run.export import read_run
from orchestrator.run.folder import open_dataset, report_of
from orchestrator.run.lock import RunLock
from orchestrator.types import FailureKind, Outcome, Prediction

pytestmark = pytest.mark.slow

INSTANCES = 60


@pytest.fixture(scope="module")
def rows() -> BenchmarkRows:
    return made_up_benchmark(INSTANCES, seed=3)


@pytest.fixture(scope="module")
def paths(rows: BenchmarkRows, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return write_made_up_run(tmp_path_factory.mktemp("runs") / "made-up", rows, seed=3)


@pytest.fixture(scope="module")
def state(paths: RunPaths) -> RunState:
    return read_journal(paths.journal)


def test_every_instance_comes_to_a_verdict_or_changed_nothing(
    paths: RunPaths, state: RunState
) -> None:
    config, lock = made_up_config("made-up", made_up_benchmark(2).benchmark), RunLock.read(paths)
    report = report_of(config, state, lock)

    assert (report.instances, report.attempted) == (INSTANCES, INSTANCES)
    assert report.validity.is_valid, report.validity
    assert 0 < report.resolved < report.graded < INSTANCES


def test_nobody_takes_a_made_up_number_for_a_real_one(paths: RunPaths, state: RunState) -> None:
    run = read_run(paths)

    assert any(NOTE in warning for warning in run.report.warnings)
    assert run.report.model == NAME
    assert NOTE in RunLock.read(paths).versions[NAME]
    assert NOTE in paths.config.read_text()
    first = json.loads(paths.predictions.read_text().split("\n")[0])
    assert first["model_name_or_path"] == "made-up__mini"


def test_a_made_up_run_has_nothing_left_to_resume(rows: BenchmarkRows, state: RunState) -> None:
    plan = make_plan(rows.dataset.instances, state)

    assert not plan.rollouts
    assert not plan.grades


def test_the_official_harness_counts_as_many_resolved(
    paths: RunPaths, state: RunState, rows: BenchmarkRows
) -> None:
    run = read_run(paths)
    name = run.reader.config.model_name_or_path
    predictions = {i: Prediction(i, name, patch) for i, patch in run.patches.items()}

    path = write_official_report(run.reader.config, paths, rows.dataset.instances, predictions)

    assert path is not None
    counted = json.loads(path.read_text())
    assert set(counted["resolved_ids"]) == set(run.report.resolved_ids)
    assert counted["submitted_instances"] == INSTANCES


def test_the_taxonomy_finds_every_cause_that_can_be_made_up(
    paths: RunPaths, state: RunState
) -> None:
    run = read_run(paths)
    found = {finding.cause for finding in run.findings.values()}

    # what is unexplained has lost its files
    assert found == {None, *Cause} - {Cause.UNEXPLAINED}
    assert any(f.spoofed and f.cause is None for f in run.findings.values())


def test_every_file_of_a_made_up_run_can_be_read(paths: RunPaths, state: RunState) -> None:
    for evidence in read_run(paths).reader.read_all():
        assert evidence.problems == ()
        assert evidence.steps
        assert evidence.patch == "" or PatchSet(evidence.patch)


def test_a_made_up_night_has_what_real_nights_have(state: RunState) -> None:
    failures = Counter(row.failure.kind for row in state.rollouts if row.failure)

    assert len(state.sessions) == 2
    assert failures[FailureKind.INTERRUPTED] > 0
    assert len(failures) > 1
    assert FailureKind.INTERNAL_ERROR not in failures  # a bug would have to be reported
    assert sum(sample.outages for sample in state.samples) == 1
    assert max(s.server.kv_usage for s in state.samples if s.server) > 0.3
    assert {row.outcome for row in state.rollouts} >= {Outcome.SUBMITTED, Outcome.STEP_LIMIT}
    assert sum(row.usage.steps for row in state.rollouts) == len(state.requests)


def test_no_slot_has_two_rollouts_at_once(state: RunState) -> None:
    ends = [(row.started_at, 1) for row in state.rollouts]
    ends += [(row.ended_at, -1) for row in state.rollouts]
    under_way = 0
    for _, change in sorted(ends):
        under_way += change
        assert 0 <= under_way <= 8


def test_everything_happens_while_a_session_goes_on(state: RunState) -> None:
    for row in (*state.rollouts, *state.grades):
        assert any(
            s.started_at <= row.started_at <= row.ended_at <= (s.ended_at or 0)
            for s in state.sessions
        )


def test_a_real_run_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "run.yaml").write_text("mine")

    with pytest.raises(ConfigError, match="real is there already: name a new folder"):
        write_made_up_run(tmp_path / "real", made_up_benchmark(1))
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["run.yaml"]


@pytest.mark.parametrize("name", ["with space", "-x", "ü"])
def test_a_folder_whose_name_can_be_no_runs_id_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="run id"):
        write_made_up_run(tmp_path / name, made_up_benchmark(1))
    assert not (tmp_path / name).exists()


def _bytes_of(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_night(tmp_path: Path) -> None:
    small = made_up_benchmark(12, seed=1)
    one, same, other = (
        _bytes_of(write_made_up_run(tmp_path / name / "run", small, seed=seed).root)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )

    assert one == same
    assert one["predictions.jsonl"] != other["predictions.jsonl"]


@pytest.mark.parametrize("left", [1, 3, 12, 500])
def test_failures_that_are_left_keep_the_run_from_being_valid(tmp_path: Path, left: int) -> None:
    small = made_up_benchmark(12, seed=1)

    paths = write_made_up_run(tmp_path / "run", small, seed=1, failures_left=left)

    report = read_run(paths).report
    assert len(report.failure_ids) == min(left, 12)
    assert not report.validity.is_valid


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_benchmark_may_be_small(tmp_path: Path, count: int) -> None:
    paths = write_made_up_run(tmp_path / "run", made_up_benchmark(count), seed=0)

    assert read_run(paths).report.instances == count


def test_its_rows_are_those_that_it_began_with(paths: RunPaths, rows: BenchmarkRows) -> None:
    run = read_run(paths)

    dataset, _ = open_dataset(paths, run.reader.config, RunLock.read(paths))

    assert dataset.instances == rows.dataset.instances
    assert findings_of(EvidenceReader(paths, run.reader.config, dataset, run.reader.state))


GOLD = (
    "diff --git a/pkg/core.py b/pkg/core.py\n--- a/pkg/core.py\n+++ b/pkg/core.py\n"
    "@@ -1,3 +1,4 @@\n def f(a):\n-    return a\n+    if a == 1 and True:\n+        return (a)\n \n"
    "@@ -20 +21 @@ def g():\n-old\n+new\n\\ No newline at end of file\n"
)
OTHER = GOLD.replace("core", "other")


@pytest.mark.parametrize("kind", list(PatchKind))
@pytest.mark.parametrize("others", [(), (OTHER,)], ids=["alone", "with others"])
def test_patches_of_every_kind_are_sound_patches(kind: PatchKind, others: tuple[str, ...]) -> None:
    for seed in range(20):
        patch = make_patch(kind, Golds(GOLD, others), random.Random(seed))

        files = {file.path for file in PatchSet(patch)}
        assert bool(files) == (kind is not PatchKind.NONE)
        in_the_right_file = {PatchKind.RIGHT, PatchKind.WRONG, PatchKind.BROKEN, PatchKind.SPOOFING}
        assert ("pkg/core.py" in files) == (kind in in_the_right_file)


def test_large_changes_are_harder_than_small_ones() -> None:
    def resolved(lines: int) -> int:
        patch = "diff --git a/a.py b/a.py\n" + "+x\n" * lines
        subjects = {f"i-{n}": FateSubject("a/b", patch, 1) for n in range(400)}
        return sum(fate.cause is None for fate in fates(0, subjects).values())

    assert resolved(2) > resolved(20) > resolved(200)
