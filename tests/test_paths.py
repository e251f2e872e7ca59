from __future__ import annotations

import errno
import fcntl
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.paths import RunPaths, folder_name, harness_model_name, write_atomic
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
    assert paths.harness_log("org/model__mini", RolloutKey("r1", "i-1", 2)) == Path(
        "/runs/r1/logs/run_evaluation/r1/org__model__mini/i-1"
    )


def test_the_harness_replaces_slashes_in_model_names() -> None:
    assert harness_model_name("a/b/c", "r1") == "a__b__c"


ODD_NAMES = (
    *("", ".", "..", "/", "../../escape", "/etc/passwd", "a/../b", "a\0b", "a\nb", "\x1b[2J"),
    *("\ud800", "x" * 256, "é" * 128, "🚀" * 64, "a~0123456789abcdef", "a\u2028b", "a\x7f"),
)


@pytest.mark.parametrize(
    "name",
    ["django__django-1", "Qwen 3.5 (mine)", "a:b", ".hidden", "-x", "a..b", "é", "a~b", "x" * 200],
)
def test_a_name_that_a_folder_can_have_is_the_folders(name: str) -> None:
    assert folder_name(name) == name


@pytest.mark.parametrize("name", ODD_NAMES)
def test_what_no_folder_can_be_called_is_told_apart_by_a_digest(name: str, tmp_path: Path) -> None:
    folder = folder_name(name)

    (tmp_path / folder).mkdir()
    assert [p.name for p in tmp_path.iterdir()] == [folder]
    assert folder[-17] == "~"


def test_a_folders_name_is_the_same_in_every_version() -> None:
    assert folder_name("a/b") == "a-b~c14cddc033f64b9d"


any_text = st.text(st.characters()) | st.sampled_from(ODD_NAMES) | st.text("./~a\\\0", max_size=8)


@pytest.mark.fuzz
@given(any_text, any_text)
def test_any_names_are_folders_of_their_own_inside_of_the_runs(one: str, other: str) -> None:
    paths = RunPaths(Path("/runs/r1"))
    for name in (one, other):
        for path, parent in (
            (paths.rollout(RolloutKey("r1", name, 1)).parent, Path("/runs/r1/rollouts")),
            (paths.harness_log("m", RolloutKey("r1", name, 1)), paths.harness_logs("r1") / "m"),
            (paths.harness_log(name, RolloutKey("r1", "i", 1)).parent, paths.harness_logs("r1")),
        ):
            assert path.parent == parent
            assert path.name not in ("", ".", "..")
            assert len(path.name.encode()) <= 255
            assert "\0" not in path.name
    assert (folder_name(one) == folder_name(other)) == (one == other)


@pytest.mark.fuzz
@given(any_text, st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True))
def test_the_harness_can_write_its_report_of_any_model(model: str, run_id: str) -> None:
    name = harness_model_name(model, run_id)

    assert name.replace("/", "__") == name, "the harness makes no other name of it"
    assert len(f"{name}.{run_id}.json".encode()) <= 255


FULL_SYNC = 51


@dataclass
class Drive:
    """What reaches the drive itself, in order: inodes, and whether by F_FULLFSYNC."""

    refuses: int = 0
    """The error number with which F_FULLFSYNC ends; 0 where it works."""
    written: list[tuple[int, str]] = field(default_factory=list)

    def fcntl(self, descriptor: int, command: int, *_: object) -> int:
        assert command == FULL_SYNC
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        self.written.append((os.fstat(descriptor).st_ino, "F_FULLFSYNC"))
        return 0

    def fsync(self, descriptor: int) -> None:
        self.written.append((os.fstat(descriptor).st_ino, "fsync"))


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Drive:
    """As macOS has it."""
    drive = Drive()
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", FULL_SYNC, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", drive.fcntl)
    monkeypatch.setattr(os, "fsync", drive.fsync)
    return drive


def test_a_power_cut_on_a_mac_takes_no_file_that_was_written(tmp_path: Path, drive: Drive) -> None:
    path = tmp_path / "rollouts" / "i-1" / "result.json"

    write_atomic(path, "done")

    folders = [tmp_path, tmp_path / "rollouts", path.parent]
    made = [(folder.stat().st_ino, "F_FULLFSYNC") for folder in folders]
    assert drive.written == [
        *made[:2],  # the new folders, each in the one that it lies in
        (path.stat().st_ino, "F_FULLFSYNC"),
        made[2],  # and last the file's name
    ]


def test_a_power_cut_on_linux_takes_no_new_name_either(
    tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(fcntl, "F_FULLFSYNC")

    write_atomic(tmp_path / "f", "done")

    inodes = (tmp_path / "f").stat().st_ino, tmp_path.stat().st_ino
    assert drive.written == [(inode, "fsync") for inode in inodes]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS])
def test_a_network_share_that_knows_no_full_sync_gets_the_plain_one(
    tmp_path: Path, drive: Drive, number: int
) -> None:
    drive.refuses = number

    write_atomic(tmp_path / "f", "done")

    assert [how for _, how in drive.written] == ["fsync", "fsync"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_drive_that_fails_is_no_file_that_was_written(
    tmp_path: Path, drive: Drive, number: int
) -> None:
    write_atomic(tmp_path / "f", "old")
    drive.refuses = number

    with pytest.raises(OSError):
        write_atomic(tmp_path / "f", "new")

    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_share_whose_folders_can_not_be_flushed_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse_folders)

    write_atomic(tmp_path / "f", "done")

    assert (tmp_path / "f").read_text() == "done"
