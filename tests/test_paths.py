from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.paths import RunPaths, harness_model_name, write_atomic
from orchestrator.types import RolloutKey


def test_a_file_is_written_whole_into_folders_that_it_makes(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"

    write_atomic(path, "größer\r\n")

    assert path.read_bytes() == "größer\r\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["c.txt"]


def test_a_file_is_written_over(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"long and old")
    write_atomic(tmp_path / "f", b"new")

    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()  # a rename onto a folder fails after the temporary file is written

    with pytest.raises(OSError):
        write_atomic(tmp_path / "f", b"new")

    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_text_that_is_no_unicode_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"old")

    with pytest.raises(UnicodeEncodeError):
        write_atomic(tmp_path / "f", "\ud800")

    assert (tmp_path / "f").read_bytes() == b"old"


def test_the_run_folder_is_laid_out_as_the_docstring_draws_it() -> None:
    paths = RunPaths(Path("/runs/r1"))

    assert paths.run_id == "r1"
    assert paths.patch(RolloutKey("r1", "i-1", 2)) == Path("/runs/r1/rollouts/i-1/2/patch.diff")
    assert paths.harness_log("org/model__mini", "i-1") == Path(
        "/runs/r1/logs/run_evaluation/r1/org__model__mini/i-1"
    )


def test_the_harness_replaces_slashes_in_model_names() -> None:
    assert harness_model_name("a/b/c", "r1") == "a__b__c"
