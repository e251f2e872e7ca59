"""What is kept to spare work is read as it was written, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.kept_files import keep, read_kept

DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(os.urandom(100)),
    "zeros, after a power cut": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "one bit": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"),
    "gone": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def test_what_was_kept_is_read_as_it_was(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"a\nb", bytes(range(256))):
        keep(tmp_path / "new" / "a", content, 1000)

        assert read_kept(tmp_path / "new" / "a") == content


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_as_good_as_none_and_can_be_kept_again(
    damage: str, tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    keep(path, b"content", 1000)
    DAMAGE[damage](path)

    assert read_kept(path) is None

    if not path.is_dir():
        keep(path, b"again", 1000)
        assert read_kept(path) == b"again"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    for age, name in enumerate("abc"):
        keep(tmp_path / name, bytes(100), 10_000)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert read_kept(tmp_path / "c") is not None, "it is used"

    keep(tmp_path / "d", bytes(100), 600)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]


def test_where_nothing_can_be_kept_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    keep(tmp_path / "file" / "a", b"content", 1000)

    assert read_kept(tmp_path / "file" / "a") is None


def test_nothing_is_left_of_what_is_larger_than_all_may_be(tmp_path: Path) -> None:
    keep(tmp_path / "a", bytes(100), 10)

    assert list(tmp_path.iterdir()) == []
