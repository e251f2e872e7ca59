"""What the program in the sandbox tells of its files, and how it writes them."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.openhands.in_sandbox import files


def look(path: Path | str, max_bytes: int = 1000, max_names: int = 100) -> dict[str, Any]:
    return files.main("look", os.fsencode(path).hex(), str(max_bytes), str(max_names))


@pytest.mark.parametrize(
    "content", [b"", b"text\n", b"no end", b"a\r\nb", b"\xff\xfe latin", b"\0\1\2", b"x" * 1000]
)
def test_a_file_comes_whole(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a 'b\"\n\u00e9"
    path.write_bytes(content)

    assert look(path) == {"kind": "file", "content": base64.b64encode(content).decode()}


def test_what_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 1001)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")

    assert look(tmp_path / "file") == {"kind": "large", "bytes": 1001}
    assert look(tmp_path / "new") == {"kind": "nothing", "in_folder": True}
    assert look(tmp_path / "no" / "new") == {"kind": "nothing", "in_folder": False}
    assert look(tmp_path / "file" / "new") == {"kind": "nothing", "in_folder": False}
    assert look(tmp_path / "pipe") == {"kind": "other"}
    assert look("/dev/zero") == {"kind": "other"}
    assert look(tmp_path / "loop")["kind"] == "error"
    assert look(tmp_path / ("x" * 300))["problem"] == "File name too long"


def test_a_folder_is_listed_two_levels_deep_without_hidden_names(tmp_path: Path) -> None:
    for name in ("b/c/d", ".hidden", "a"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "file").touch()
    (tmp_path / "b" / ".hidden").touch()

    found = look(tmp_path)

    assert found["entries"] == [("a", True), ("b", True), ("b/c", True), ("b/file", False)]
    assert found["hidden"] == 1
    assert len(look(tmp_path, max_names=3)["entries"]) == 3


def test_a_file_is_written_in_place(tmp_path: Path) -> None:
    path, link, other = tmp_path / "file", tmp_path / "link", tmp_path / "hard"
    path.write_text("old, and longer")
    path.chmod(0o555)
    link.symlink_to(path)
    other.hardlink_to(path)

    assert files.store(str(link), b"new") == {"kind": "stored"}

    assert link.is_symlink()
    assert other.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o555


def test_a_new_file_is_made_where_its_folder_is_there(tmp_path: Path) -> None:
    files.store(str(tmp_path / "new"), b"content")

    assert (tmp_path / "new").read_bytes() == b"content"
    with pytest.raises(FileNotFoundError):
        files.store(str(tmp_path / "no" / "new"), b"")


def test_what_can_not_be_written_whole_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    replace_all = files.replace_all

    def full(file: Any, content: bytes) -> None:
        replace_all(file, content[:2])
        if content != b"old":
            raise OSError(28, "No space left on device")
        replace_all(file, content)

    monkeypatch.setattr(files, "replace_all", full)

    with pytest.raises(OSError, match="No space left"):
        files.store(str(path), b"brand new")
    assert path.read_text() == "old"


def test_a_script_is_kept_and_removes_itself() -> None:
    found = files.keep_script(b"echo hello")

    path = Path(found["path"])
    assert path.read_text() == f"rm -f -- '{path}'\necho hello"
    path.unlink()
