from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.evidence import steps

from orchestrator.agents.steps import trajectory_json
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.driver.files import save_grade, save_rollout
from orchestrator.evidence.facts import Cause, Evidence, TestKind
from orchestrator.evidence.read import EvidenceReader
from orchestrator.evidence.taxonomy import find, findings_of
from orchestrator.journal.views import RunState
from orchestrator.paths import RunPaths
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    Outcome,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
    Usage,
)

ID = "orchard__ledger-12"
PATCH = "--- a/src/ledger/money.py\n+++ b/src/ledger/money.py\n@@ -1 +1 @@\n-a\n+b\n"
KEY = RolloutKey("a-run", ID, 1)
NAME = "test_refund (tests.test_money.T)"
REPORT = {
    "resolved": False,
    "patch_successfully_applied": True,
    "tests_status": {
        "FAIL_TO_PASS": {"success": [], "failure": [NAME]},
        "PASS_TO_PASS": {"success": ["b"], "failure": []},
    },
}
OUTPUT = f"""head
>>>>> Start Test Output
======================================================================
FAIL: {NAME}
----------------------------------------------------------------------
AssertionError: -99 != -100
>>>>> End Test Output
"""
FAILURE = Failure(FailureKind.HARNESS_UNAVAILABLE, "no report")
Read = Callable[..., Evidence]


@pytest.fixture
def folder(demo_config: RunConfig) -> Path:
    """Of a run whose one rollout was submitted and graded as unresolved; tests damage it."""
    paths = RunPaths.of(demo_config.runs_dir, demo_config.run_id)
    files = {"trajectory.json": trajectory_json(steps("ls", "edit")).encode()}
    save_rollout(paths, RolloutResult(ROLLOUT, PATCH, files=files))
    logs = {
        "report.json": json.dumps({ID: REPORT}).encode(),
        "test_output.txt": OUTPUT.encode(),
    }
    save_grade(demo_config, paths, GradeResult(GRADE, files=logs))
    return paths.root


USAGE = Usage(steps=2, prompt_tokens=5, completion_tokens=5)
ROLLOUT = RolloutRecord(KEY, outcome=Outcome.SUBMITTED, usage=USAGE).with_patch(PATCH)
GRADE = GradeRecord(KEY, ROLLOUT.patch_sha256, resolved=False, reason=GradeReason.TESTS)


def reader(config: RunConfig, dataset: Dataset, **more: Any) -> EvidenceReader:
    """Of a run whose journal holds what is given."""
    repos = {i.instance_id: i.repo for i in dataset.instances}
    given = {"rollouts": [ROLLOUT], "grades": [GRADE]} | more
    paths = RunPaths.of(config.runs_dir, config.run_id)
    return EvidenceReader(paths, config, dataset, RunState("a-run", repos, **given))


@pytest.fixture
def read(folder: Path, demo_config: RunConfig, demo: Dataset) -> Read:
    return lambda **more: reader(demo_config, demo, **more).read(ID)


def log(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"logs/run_evaluation/a-run/*/{ID}/{name}")
    return found


def rollout_file(folder: Path, name: str) -> Path:
    return folder / "rollouts" / ID / "1" / name


def test_a_graded_instance_has_all_that_its_files_hold(read: Read) -> None:
    found = read()

    assert (found.repo, found.patch, found.problems) == ("orchard/ledger", PATCH, ())
    assert "src/ledger/money.py" in found.gold_patch
    assert "tests/test_money.py" in found.gold_test_patch
    assert [step.action for step in found.steps] == ["ls", "edit"]
    assert found.test_output == OUTPUT
    failed, passed = found.tests
    assert (failed.name, failed.kind, failed.passed) == (NAME, TestKind.FAIL_TO_PASS, False)
    assert "-99 != -100" in failed.output
    assert (passed.kind, passed.passed) == (TestKind.PASS_TO_PASS, True)
    assert find(found).cause is Cause.RIGHT_FILE


def test_a_run_is_read_in_its_order_and_what_never_started_is_empty(
    folder: Path, demo_config: RunConfig, demo: Dataset
) -> None:
    found = findings_of(reader(demo_config, demo))

    assert list(found) == [instance.instance_id for instance in demo.instances]
    assert [i for i, finding in found.items() if finding.cause] == [ID]


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("patch.diff", Cause.STILL_FAILING),
        ("trajectory.json", Cause.RIGHT_FILE),
        ("report.json", Cause.UNEXPLAINED),
        ("test_output.txt", Cause.RIGHT_FILE),
    ],
)
@pytest.mark.parametrize("damage", ["gone", "a folder", "not to be read", "cut off", "bytes"])
def test_a_file_that_is_gone_or_damaged_is_a_line_and_the_rest_is_read(
    folder: Path, read: Read, name: str, cause: Cause, damage: str
) -> None:
    is_log = name in ("report.json", "test_output.txt")
    path = log(folder, name) if is_log else rollout_file(folder, name)
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage == "not to be read":
        path.symlink_to(path)
    elif damage == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "bytes":
        path.write_bytes(b"\xff\xfe\x00\x80" * 50)

    found = read()

    is_text = name in ("patch.diff", "test_output.txt")
    assert len(found.problems) == (0 if is_text and damage in ("cut off", "bytes") else 1)
    assert all(name in problem and "\n" not in problem for problem in found.problems)
    if damage == "gone":
        assert find(found).cause is cause
    assert find(found).because


def test_a_prediction_made_elsewhere_has_no_trajectory_and_that_is_no_problem(
    folder: Path, read: Read
) -> None:
    rollout_file(folder, "trajectory.json").unlink()
    elsewhere = RolloutRecord(KEY, outcome=Outcome.SUBMITTED).with_patch(PATCH)

    found = read(rollouts=[elsewhere])

    assert (found.steps, found.problems) == ((), ())


@pytest.mark.parametrize(
    "grades",
    [[], [GradeRecord(KEY, ROLLOUT.patch_sha256, failure=FAILURE)]],
    ids=["not graded", "grade failed"],
)
def test_what_has_no_verdict_has_no_tests_and_no_cause(read: Read, grades: list[Any]) -> None:
    found = read(grades=grades)

    assert (found.grade, found.tests, found.test_output, found.problems) == (None, (), "", ())
    assert find(found).cause is None


def test_a_rollout_that_failed_is_no_outcome(read: Read) -> None:
    found = read(rollouts=[RolloutRecord(KEY, failure=FAILURE)], grades=[])

    assert (found.rollout, found.patch, found.steps) == (None, "", ())
    assert find(found).cause is None


def test_the_verdict_on_another_patch_says_nothing(read: Read) -> None:
    found = read(grades=[GradeRecord(KEY, "0" * 64, resolved=False, reason=GradeReason.TESTS)])

    assert found.grade is None


def test_without_the_benchmarks_rows_no_gold_patch_is_known(
    folder: Path, demo_config: RunConfig, demo: Dataset
) -> None:
    without = Dataset(demo.instances, {}, "")

    found = reader(demo_config, without).read(ID)

    assert (found.gold_patch, found.gold_test_patch) == ("", "")
    assert find(found).cause is Cause.STILL_FAILING


def test_a_patch_that_does_not_apply_has_no_output_of_tests(folder: Path, read: Read) -> None:
    log(folder, "test_output.txt").unlink()
    reason = GradeReason.PATCH_DOES_NOT_APPLY
    grade = GradeRecord(KEY, ROLLOUT.patch_sha256, resolved=False, reason=reason)

    found = read(grades=[grade])

    assert (found.problems, find(found).cause) == ((), Cause.DOES_NOT_APPLY)


def test_a_long_output_keeps_its_end_and_all_of_it_is_searched(folder: Path, read: Read) -> None:
    noise = "x" * 1_000_000
    log(folder, "test_output.txt").write_text(f"{noise}\n{OUTPUT}{noise}\nlast line\n")

    found = read()

    assert found.test_output.endswith("last line\n")
    assert len(found.test_output) < 500_000
    assert "-99 != -100" in found.tests[0].output


def test_an_instance_of_another_run_is_refused(read: Read, demo_config: RunConfig) -> None:
    with pytest.raises(KeyError):
        reader(demo_config, Dataset((), {}, "")).read("strange__r-1")
