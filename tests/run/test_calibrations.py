"""Trials of gold patches: taken from a round's folder, kept once, and found again by other runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.rows import RUN_ID, decision, failed, graded, rolled

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.errors import PrerequisiteError
from orchestrator.journal import RunState
from orchestrator.paths import RunPaths
from orchestrator.report.calibration import Gradable
from orchestrator.run.calibrations import digests_of, file_of, keep_trials, standings_of
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock, SandboxLock
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    RolloutResult,
)
from orchestrator.user_paths import calibrations

GOLD = load_config(RunRequest("demo", agent="gold", run_id=RUN_ID))
IMAGE = "x@sha256:1"
LOCK = RunLock(
    versions={"swebench": "5.0.2"},
    sandbox=SandboxLock(kind="docker", platform="linux/amd64", architecture="linux/amd64"),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def paths(tmp_path: Path, demo: Dataset) -> RunPaths:
    found = RunPaths(tmp_path / RUN_ID)
    create_run(found, GOLD, demo, LOCK)
    return found


def state_of(
    demo: Dataset, rollouts: Sequence[RolloutResult], grades: Sequence[GradeResult] = ()
) -> RunState:
    repos = {instance.instance_id: instance.repo for instance in demo.instances}
    return RunState(RUN_ID, repos, [r.record for r in rollouts], [g.record for g in grades])


def round_of(demo: Dataset, *resolved: bool) -> RunState:
    """A round in which the first instances were graded so."""
    ids = [instance.instance_id for instance in demo.instances]
    return state_of(
        demo,
        [rolled(i, image=IMAGE) for i in ids[: len(resolved)]],
        [graded(i, end) for i, end in zip(ids, resolved, strict=False)],
    )


def at(seen: RunState, ended_at: float) -> RunState:
    return replace(seen, grades=[replace(grade, ended_at=ended_at) for grade in seen.grades])


def gradable(paths: RunPaths, seen: RunState, config: RunConfig = GOLD) -> list[Gradable]:
    return [s.gradable for s in standings_of(paths, config, seen, LOCK).values()]


def test_what_a_round_has_shown_is_found_by_other_runs_once(paths: RunPaths, demo: Dataset) -> None:
    seen = round_of(demo, True, False)
    assert gradable(paths, seen) == []
    for _ in range(2):
        keep_trials(paths, GOLD, seen, LOCK)

    assert gradable(paths, seen) == [Gradable.OK, Gradable.NOT_GRADABLE]
    found = standings_of(paths, GOLD, seen, LOCK)
    assert [standing.trials for standing in found.values()] == [1, 1]


def test_trials_of_several_rounds_show_what_flickers(paths: RunPaths, demo: Dataset) -> None:
    for n, end in enumerate([True, False, True]):
        keep_trials(paths, GOLD, at(round_of(demo, end), float(n)), LOCK)

    (standing,) = standings_of(paths, GOLD, round_of(demo, True), LOCK).values()
    assert (standing.gradable, standing.resolved, standing.trials) == (Gradable.FLICKERS, 2, 3)


@pytest.mark.parametrize(
    ("lock", "is_found"),
    [
        (LOCK, True),
        (LOCK.model_copy(update={"versions": {"swebench": "5.1"}}), False),
        (
            LOCK.model_copy(
                update={"sandbox": LOCK.sandbox.model_copy(update={"architecture": "linux/arm64"})}
            ),
            False,
        ),
        (
            LOCK.model_copy(
                update={"sandbox": LOCK.sandbox.model_copy(update={"kind": "process"})}
            ),
            False,
        ),
    ],
    ids=["same", "another harness", "other processors", "other sandboxes"],
)
def test_another_host_is_another_matter(
    paths: RunPaths, demo: Dataset, lock: RunLock, is_found: bool
) -> None:
    keep_trials(paths, GOLD, round_of(demo, True), LOCK)

    assert bool(standings_of(paths, GOLD, round_of(demo, True), lock)) is is_found


def test_an_image_that_was_built_anew_is_another_matter(paths: RunPaths, demo: Dataset) -> None:
    keep_trials(paths, GOLD, round_of(demo, False), LOCK)
    seen = round_of(demo, False)
    moved = replace(seen, rollouts=[replace(row, image="x@sha256:2") for row in seen.rollouts])

    assert standings_of(paths, GOLD, moved, LOCK) == {}


def test_another_row_of_the_same_name_is_another_matter(paths: RunPaths, demo: Dataset) -> None:
    keep_trials(paths, GOLD, round_of(demo, True), LOCK)
    text = paths.rows.read_text().replace("PASS_TO_PASS", "PASS_TO_PASS ", 1)
    paths.rows.write_text(text)

    assert standings_of(paths, GOLD, round_of(demo, True), LOCK) == {}


def test_a_run_of_an_older_version_has_no_calibration(paths: RunPaths, demo: Dataset) -> None:
    keep_trials(paths, GOLD, round_of(demo, True), LOCK)
    paths.rows.unlink()
    keep_trials(paths, GOLD, round_of(demo, True), LOCK)

    assert standings_of(paths, GOLD, round_of(demo, True), LOCK) == {}
    assert standings_of(paths, GOLD, round_of(demo, True), RunLock()) == {}


@pytest.mark.parametrize(
    ("kind", "attempts", "why"),
    [
        (FailureKind.AGENT_CRASHED, 2, "the agent crashed: something | broke"),
        (FailureKind.AGENT_CRASHED, 1, None),  # killed before it was redone
        (FailureKind.WORKER_LOST, 9, None),
        (FailureKind.IMAGE_UNAVAILABLE, 9, None),
        (FailureKind.SANDBOX_UNAVAILABLE, 9, None),
        (FailureKind.INTERRUPTED, 9, None),
        (FailureKind.INTERNAL_ERROR, 9, None),
    ],
)
def test_only_a_failure_of_the_instance_itself_that_stays_is_a_trial(
    paths: RunPaths, demo: Dataset, kind: FailureKind, attempts: int, why: str | None
) -> None:
    first = demo.instances[0].instance_id
    seen = state_of(demo, [failed(first, n + 1, kind) for n in range(attempts)])
    images = {demo.instances[0].image: IMAGE}
    names = {first: demo.instances[0].image}
    lock = LOCK.model_copy(update={"images": images, "image_names": names})
    keep_trials(paths, GOLD, seen, lock)

    found = [standing.why for standing in standings_of(paths, GOLD, seen, lock).values()]
    assert found == ([] if why is None else [why])


@pytest.mark.parametrize(
    ("kind", "grades", "trials"),
    [
        (FailureKind.HARNESS_UNAVAILABLE, 3, 1),
        (FailureKind.HARNESS_UNAVAILABLE, 2, 0),
        (FailureKind.TESTS_TOO_SLOW, 1, 1),
        (FailureKind.WORKER_LOST, 9, 0),
    ],
)
def test_a_grade_that_comes_to_no_verdict_is_a_trial_when_it_stays_so(
    paths: RunPaths, demo: Dataset, kind: FailureKind, grades: int, trials: int
) -> None:
    first = demo.instances[0].instance_id
    row = rolled(first, image=IMAGE)
    made = GradeResult(GradeRecord(row.key, row.record.patch_sha256, failure=Failure(kind, "OOM")))
    seen = state_of(demo, [row], [made] * grades)
    keep_trials(paths, GOLD, seen, LOCK)

    found = standings_of(paths, GOLD, seen, LOCK)
    assert [s.gradable for s in found.values()] == [Gradable.NOT_GRADABLE] * trials
    assert all(s.why.endswith("OOM") for s in found.values())


def test_the_tests_that_failed_are_named(paths: RunPaths, demo: Dataset) -> None:
    seen = round_of(demo, False)
    (grade,) = seen.grades
    folder = paths.harness_log(GOLD.model_name_or_path, grade.key)
    folder.mkdir(parents=True)
    status = {
        "FAIL_TO_PASS": {"success": ["t0"], "failure": ["t1", "t2"]},
        "PASS_TO_PASS": {"success": [], "failure": ["t3", "t4"]},
    }
    told = {grade.instance_id: {"resolved": False, "tests_status": status}}
    (folder / "report.json").write_text(json.dumps(told))
    keep_trials(paths, GOLD, seen, LOCK)

    (standing,) = standings_of(paths, GOLD, seen, LOCK).values()
    assert standing.why == "4 of 5 tests failed: t1, t2, t3 and 1 more"


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (GradeReason.TESTS, "its tests fail"),  # and its report is gone
        (GradeReason.TESTS_TIMED_OUT, "its tests ran too long"),
        (GradeReason.NO_TEST_RESULTS, "its tests gave no results"),
        (GradeReason.PATCH_DOES_NOT_APPLY, "its patch does not apply"),
    ],
)
def test_why_gold_was_not_resolved_is_said(
    paths: RunPaths, demo: Dataset, reason: GradeReason, why: str
) -> None:
    first = demo.instances[0].instance_id
    seen = state_of(demo, [rolled(first, image=IMAGE)], [graded(first, False, reason=reason)])
    keep_trials(paths, GOLD, seen, LOCK)

    assert [s.why for s in standings_of(paths, GOLD, seen, LOCK).values()] == [why]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trials": 3}', '{"trials": [{}]}'])
def test_a_kept_file_that_can_not_be_read_is_made_anew(
    paths: RunPaths, demo: Dataset, text: str
) -> None:
    seen = round_of(demo, True)
    first = demo.instances[0].instance_id
    path = file_of(first, digests_of(demo)[first], LOCK.sandbox)
    path.parent.mkdir(parents=True)
    path.write_text(text)

    assert standings_of(paths, GOLD, seen, LOCK) == {}
    keep_trials(paths, GOLD, seen, LOCK)
    assert gradable(paths, seen) == [Gradable.OK]


def test_a_cache_that_can_not_be_written_is_told_in_one_line(
    paths: RunPaths, demo: Dataset, cache: Path
) -> None:
    cache.write_text("in the way")

    with pytest.raises(PrerequisiteError, match=r"calibrations can't be written .*Make room"):
        keep_trials(paths, GOLD, round_of(demo, True), LOCK)
    assert standings_of(paths, GOLD, round_of(demo, True), LOCK) == {}
    assert calibrations().parent == cache


def test_a_person_s_decision_is_no_trial(paths: RunPaths, demo: Dataset) -> None:
    first = demo.instances[0].instance_id
    seen = replace(state_of(demo, [rolled(first)]), decisions=(decision(first, "diff"),))
    keep_trials(paths, GOLD, seen, LOCK)

    assert standings_of(paths, GOLD, seen, LOCK) == {}
