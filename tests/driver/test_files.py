from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.rows import failed, graded, instances, key_of, rolled, state

from orchestrator.config import RunConfig
from orchestrator.driver import files
from orchestrator.driver.files import (
    append_prediction,
    disk_errors_as_journal_errors,
    follow_changed_patches,
    read_patch,
    read_patches,
    rewrite_predictions,
    save_grade,
    save_rollout,
)
from orchestrator.errors import JournalError
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.types import CallCounts, FailureKind, Usage, patch_sha256

PATCH = "--- größer\r\n+++ b\n"


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


def predictions(paths: RunPaths) -> list[dict[str, str]]:
    text = paths.predictions.read_bytes().decode("utf-8")
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def test_an_outcomes_folder_holds_patch_files_and_summary(paths: RunPaths) -> None:
    calls = CallCounts().with_call("malformed", "the arguments of bash are no JSON")
    usage, files = Usage(steps=3), {"trajectory.json": b"{}"}
    save_rollout(paths, rolled("a", 2, PATCH, usage=usage, files=files, calls=calls))
    folder = paths.rollout(key_of("a", 2))

    assert {p.name for p in folder.iterdir()} == {"patch.diff", "trajectory.json", "result.json"}
    assert (folder / "patch.diff").read_bytes() == PATCH.encode()
    summary = json.loads((folder / "result.json").read_bytes())
    assert summary["outcome"] == "submitted"
    assert summary["usage"]["steps"] == 3
    assert summary["calls"]["problems"] == {"malformed": 1}
    assert summary["unusable_answers"] == 0


def test_a_failures_folder_holds_no_patch_that_could_be_graded(paths: RunPaths) -> None:
    lost = replace(failed("a", 1, FailureKind.INTERRUPTED), partial_patch="half")
    save_rollout(paths, lost)
    folder = paths.rollout(key_of("a"))

    assert {p.name for p in folder.iterdir()} == {"partial.diff", "result.json"}
    summary = json.loads((folder / "result.json").read_bytes())
    assert summary["failure"]["kind"] == "interrupted"


def test_a_power_cut_on_a_mac_takes_no_prediction(
    paths: RunPaths, demo_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(files, "flush_to_drive", lambda fd: flushed.append(os.fstat(fd).st_size))

    append_prediction(demo_config, paths, rolled("a", patch=PATCH))

    assert flushed == [paths.predictions.stat().st_size], "after its whole line is written"


def test_a_prediction_has_the_official_keys_and_its_patch_unchanged(
    paths: RunPaths, demo_config: RunConfig
) -> None:
    append_prediction(demo_config, paths, rolled("a", patch=PATCH))
    append_prediction(demo_config, paths, rolled("b", patch=""))

    assert predictions(paths) == [
        {
            "instance_id": "a",
            "model_name_or_path": "scripted__mini",
            "model_patch": PATCH,
        },
        {"instance_id": "b", "model_name_or_path": "scripted__mini", "model_patch": ""},
    ]


def test_a_prediction_is_one_line_for_readers_that_split_at_any_line_break(
    paths: RunPaths, demo_config: RunConfig
) -> None:
    patch = "a\u2028b\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\n🚀"
    append_prediction(demo_config, paths, rolled("a", patch=patch))

    (line,) = paths.predictions.read_bytes().decode("ascii").splitlines()
    assert json.loads(line)["model_patch"] == patch


def test_a_line_that_a_kill_cut_short_is_mended(paths: RunPaths, demo_config: RunConfig) -> None:
    save_rollout(paths, rolled("a", patch=PATCH))
    append_prediction(demo_config, paths, rolled("a", patch=PATCH))
    paths.predictions.write_bytes(paths.predictions.read_bytes()[:20])

    rewrite_predictions(demo_config, paths, state(rolled("a", patch=PATCH)))

    assert [line["model_patch"] for line in predictions(paths)] == [PATCH]


def test_patches_are_read_as_they_lie_there_now(paths: RunPaths) -> None:
    save_rollout(paths, rolled("a", patch=PATCH))
    seen = state(rolled("a", patch=PATCH), failed("b"))
    assert read_patches(paths, seen) == {"a": PATCH}

    paths.patch(key_of("a")).write_text("edited", encoding="utf-8")

    assert read_patches(paths, seen) == {"a": "edited"}


def test_the_journal_follows_a_patch_that_a_person_has_changed(paths: RunPaths) -> None:
    with Journal.create(paths.journal, "r1", instances("a", "b")) as journal:
        for result in (rolled("a", patch=PATCH), rolled("b", patch=PATCH)):
            save_rollout(paths, result)
            journal.append_rollout(result.record)
        paths.patch(key_of("a")).write_text("edited", encoding="utf-8")

        follow_changed_patches(paths, journal)

        digests = {key: row.patch_sha256 for key, row in journal.state().outcomes.items()}
    assert digests == {"a": patch_sha256("edited"), "b": patch_sha256(PATCH)}


def test_a_patch_that_is_gone_is_an_error(paths: RunPaths) -> None:
    with pytest.raises(JournalError, match="can't be read"):
        read_patch(paths, key_of("a"))


def test_the_files_of_an_older_patchs_grade_go_away(
    paths: RunPaths, demo_config: RunConfig
) -> None:
    folder = paths.harness_log("scripted__mini", key_of("a"))
    save_grade(demo_config, paths, replace(graded("a", True), files={"old.log": b"1"}))
    save_grade(demo_config, paths, replace(graded("a", True), files={"report.json": b"2"}))

    assert {p.name for p in folder.iterdir()} == {"report.json"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_clear_line(paths: RunPaths, code: int) -> None:
    with (
        pytest.raises(JournalError, match="resume") as caught,
        disk_errors_as_journal_errors(paths),
    ):
        raise OSError(code, os.strerror(code))

    assert os.strerror(code) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_can_not_be_opened_is_one_clear_line_too(paths: RunPaths) -> None:
    with pytest.raises(JournalError, match="No such file"), disk_errors_as_journal_errors(paths):
        paths.journal.read_bytes()


def test_an_error_of_no_file_is_not_taken_for_a_full_disk(paths: RunPaths) -> None:
    with pytest.raises(ConnectionRefusedError), disk_errors_as_journal_errors(paths):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")


def test_the_harnesss_report_of_a_grade_without_a_verdict_is_not_counted_by_it(
    demo_config: RunConfig, paths: RunPaths
) -> None:
    """Tests that were killed leave one, and it may say anything."""
    files = {"report.json": b"{}", "test_output.txt": b"Killed"}
    save_grade(demo_config, paths, graded("a", None, files=files))
    folder = paths.harness_log(demo_config.model_name_or_path, key_of("a"))
    assert sorted(path.name for path in folder.iterdir()) == [
        "no-verdict.report.json",
        "test_output.txt",
    ]

    save_grade(demo_config, paths, graded("a", False, files=files))

    assert sorted(path.name for path in folder.iterdir()) == ["report.json", "test_output.txt"]
