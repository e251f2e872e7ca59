"""The edit tool as models use it: a program, run in a folder, that answers on stdout."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator.agents

TOOL = Path(orchestrator.agents.__file__).parent / "tools" / "edit"
QUOTED = shlex.quote(str(TOOL))
OLDER = ["python3.5", "python3.6", "python3.7", "python3.8", "python3.9"]
MOD = "def one():\n    return 1\n\n\ndef two():\n    return 2\n"
FORM = "<<<<<<< SEARCH\nold lines\n=======\nnew lines\n>>>>>>> REPLACE"


def block(old: str, new: str, width: int = 7) -> str:
    """A block of whole lines; each side is empty or ends with a newline."""
    markers = [sign * width for sign in "<=>"]
    return f"{markers[0]} SEARCH\n{old}{markers[1]}\n{new}{markers[2]} REPLACE\n"


class Folder:
    """A model's working directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def edit(
        self, *args: str, stdin: str | bytes = "", code: int = 0, command: tuple[str, ...] = ()
    ) -> str:
        """Runs the tool with this Python first on the PATH, and returns what it says."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [*(command or [str(TOOL)]), *args],
            cwd=self.path,
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            env=os.environ | {"PATH": path},
        )
        said = done.stdout.decode(errors="surrogateescape")
        assert (done.returncode, done.stderr) == (code, b""), said
        return said

    def refused(self, *args: str, stdin: str | bytes = "") -> str:
        """What it says when it changes nothing."""
        before = self.files()
        said = self.edit(*args, stdin=stdin, code=1)
        assert self.files() == before
        return said

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in self.path.rglob("*")
            if path.is_file()
        }

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_block(folder: Folder) -> None:
    file = folder.write("mod.py", MOD)
    said = folder.edit("mod.py", stdin=block("    return 2\n", "    two = 2\n    return two\n"))
    assert file.read_text() == MOD.replace("    return 2\n", "    two = 2\n    return two\n")
    assert said == (
        "edited mod.py: lines 6-7\n"
        "     3\t\n     4\t\n     5\tdef two():\n     6\t    two = 2\n     7\t    return two\n"
    )
    assert list(folder.files()) == ["mod.py"]


def test_in_bash(folder: Folder) -> None:
    folder.write("a.txt", "one $HOME\ntwo\n")
    blocks = block("one $HOME\n", "`1`\n")
    heredoc = f"{QUOTED} a.txt <<'EOF'\n{blocks}EOF\n"
    folder.edit("-c", heredoc, command=("bash",))
    assert folder.files() == {"a.txt": b"`1`\ntwo\n"}


def test_several_blocks_are_applied_in_order(folder: Folder) -> None:
    file = folder.write("a.txt", "".join(f"{i}\n" for i in range(1, 31)))
    blocks = block("20\n", "twenty\n") + "\n" + block("2\n", "2a\n2b\n") + block("2b\n", "2c\n")
    said = folder.edit("a.txt", stdin=blocks)
    assert file.read_text().split()[:4] == ["1", "2a", "2c", "3"]
    assert said.splitlines()[0] == "edited a.txt: lines 21-21, lines 2-3, lines 3-3"
    assert "     6\t5\n   ...\n    18\t17\n" in said
    assert "    21\ttwenty\n" in said


def test_all_blocks_or_none(folder: Folder) -> None:
    folder.write("mod.py", MOD)
    said = folder.refused("mod.py", stdin=block("    return 1\n", "\n") + block("nope\n", "\n"))
    assert said.startswith("mod.py was not changed: block 2 of 2: the old text was not found")


@pytest.mark.parametrize("width", [5, 9])
def test_markers_of_other_widths(folder: Folder, width: int) -> None:
    file = folder.write("a.txt", "one\n")
    folder.edit("a.txt", stdin=block("one\n", "two\n", width))
    assert file.read_text() == "two\n"


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<<\none\n=======\ntwo\n>>>>>>>",
        "<<<<<<< search \none\n======\ntwo\n>>>>>>>>REPLACE",
        "\n<<<<<<<SEARCH\r\none\r\n=======\r\ntwo\r\n>>>>>>> REPLACE\r\n\n",
    ],
)
def test_markers_are_read_leniently(folder: Folder, text: str) -> None:
    file = folder.write("a.txt", "one\n")
    folder.edit("a.txt", stdin=text)
    assert file.read_text() == "two\n"


def test_headings_in_the_text(folder: Folder) -> None:
    file = folder.write("a.rst", "Heading\n=======\n")
    said = folder.refused("a.rst", stdin=block("Heading\n=======\n", "Header\n======\n"))
    assert "3 lines like =======" in said
    assert "another number of characters, 5 to 9" in said
    folder.edit("a.rst", stdin=block("Heading\n=======\n", "Header\n======\n", 9))
    assert file.read_text() == "Header\n======\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no block on standard input"),
        ("one\n", "this is outside of a block, or not closed by a marker: one"),
        ("```\n" + block("one\n", "two\n") + "```\n", "outside of a block"),
        ("<<<<<<< SEARCH\none\n=======\ntwo\n", "not closed by a marker: <<<<<<< SEARCH"),
        ("<<<<<<< SEARCH\none\n>>>>>>> REPLACE\n", "a block has no line ======="),
        ("<<<<<<< SEARCH\none\n" + block("one\n", "two\n"), "a block begins inside a block"),
        ("<<<< SEARCH\none\n====\ntwo\n>>>> REPLACE\n", "outside of a block"),
    ],
)
def test_malformed_blocks_show_the_right_form(folder: Folder, text: str, problem: str) -> None:
    folder.write("a.txt", "one\n")
    said = folder.refused("a.txt", stdin=text)
    assert problem in said
    assert said.endswith(f"The right form is:\n{FORM}\n")


def test_blocks_are_whole_lines(folder: Folder) -> None:
    folder.write("a.txt", "x = 1  # one\ny = 2\n")
    said = folder.refused("a.txt", stdin=block("x = 1\n", "x = 2\n"))
    assert "the most similar place is lines 1-1:\n     1\tx = 1  # one\n" in said


def test_arguments_replace_any_part(folder: Folder) -> None:
    file = folder.write("mod.py", MOD)
    assert folder.edit("mod.py", "--old", "n 2", "--new", "n 3").startswith(
        "edited mod.py: lines 6-6\n"
    )
    folder.edit("--old=1\n\n\ndef two", "--new=--x\n\ndef 2", "mod.py")
    assert file.read_text() == "def one():\n    return --x\n\ndef 2():\n    return 3\n"


def test_texts_that_look_like_options(folder: Folder) -> None:
    file = folder.write("a.txt", "run --old x\n")
    folder.edit("a.txt", "--old", "--old", "--new", "--new")
    assert file.read_text() == "run --new x\n"


@pytest.mark.parametrize("new", [[], ["--new", ""]])
def test_deleting_by_arguments(folder: Folder, new: list[str]) -> None:
    file = folder.write("a.txt", "one\ntwo\nthree\n")
    said = folder.edit("a.txt", "--old", "two\n", *new)
    assert said == "edited a.txt: deleted after line 1\n     1\tone\n     2\tthree\n"
    assert file.read_text() == "one\nthree\n"


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\ntwo", "two\none\n", "two\r\none"])
def test_deleting_by_a_block(folder: Folder, text: str) -> None:
    file = folder.write("a.txt", text)
    folder.edit("a.txt", stdin=block("two\n", ""))
    assert file.read_bytes() == (b"one\n" if text.endswith("\n") else b"one")
    folder.edit("a.txt", stdin=block("one\n", ""))
    assert file.read_bytes() == b""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new.txt", "a/deep/new.txt"])
def test_a_new_file(folder: Folder, name: str) -> None:
    assert folder.edit(name, stdin=block("", "one\ntwo\n")) == (
        f"created {name}: 2 lines\n     1\tone\n     2\ttwo\n"
    )
    assert folder.files() == {name: b"one\ntwo\n"}
    folder.edit("by-arguments", "--new", "one")
    folder.edit("by-both", "--old", "", "--new", "one\n")
    folder.edit("empty", "--new", "")
    by_arguments = {"by-arguments": b"one", "by-both": b"one\n", "empty": b""}
    assert folder.files() == {name: b"one\ntwo\n"} | by_arguments


@pytest.mark.slow
def test_old_text_of_an_existing_file_may_be_empty_only_when_it_is(folder: Folder) -> None:
    folder.write("full.txt", "one\n")
    problem = "the old text is empty, but the file exists and is not empty"
    assert problem in folder.refused("full.txt", stdin=block("", "two\n"))
    assert problem in folder.refused("full.txt", "--new", "two\n")
    empty = folder.write("empty.txt", "")
    assert folder.edit("empty.txt", stdin=block("\n", "two\n")).startswith("edited empty.txt: lin")
    assert empty.read_text() == "two\n"


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_line_ends_survive(folder: Folder, ends: str) -> None:
    file = folder.write("a.txt", f"one{ends}two{ends}three{ends}")
    said = folder.edit("a.txt", stdin=block("one\ntwo\n", "1\n2\n"))
    assert "\r" not in said
    folder.edit("a.txt", stdin=block("2\r\n", "2a\r\n2b\r\n"))
    folder.edit("a.txt", "--old", "2b\nthree", "--new", "3\n5")
    folder.edit("a.txt", "--old", "\r\n3\r\n", "--new", "\r\n4\r\n")
    assert file.read_bytes() == ends.join(["1", "2a", "4", "5", ""]).encode()


def test_mixed_line_ends_survive(folder: Folder) -> None:
    file = folder.write("a.txt", "one\ntwo\nthree\r\nfour\r\nfive\r\n")
    folder.edit("a.txt", stdin=block("two\n", "2\n2\n") + block("four\nfive\n", "4\n5\n"))
    assert file.read_bytes() == b"one\n2\n2\nthree\r\n4\r\n5\r\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_missing_newline_at_the_end_survives(folder: Folder, ends: str) -> None:
    file = folder.write("a.txt", f"one{ends}two")
    folder.edit("a.txt", stdin=block("one\n", "1\n"))
    folder.edit("a.txt", stdin=block("two\n", "2\n3\n"))
    assert file.read_bytes() == f"1{ends}2{ends}3".encode()


@pytest.mark.slow
def test_bytes_that_are_not_utf8_survive(folder: Folder) -> None:
    file = folder.write("a.txt", b"caf\xe9 \x00\ntwo \xc3\xa9\x0c\n")
    said = folder.edit("a.txt", stdin=block("two é\f\n", "zwei ü\n"))
    assert file.read_bytes() == "caf\udce9 \x00\nzwei ü\n".encode(errors="surrogateescape")
    assert "     1\tcaf\udce9 \x00\n     2\tzwei ü\n" in said
    folder.edit("a.txt", stdin=b"<<<<<<<\ncaf\xe9 \x00\n=======\nbar \xe9\n>>>>>>>\n")
    assert file.read_bytes().startswith(b"bar \xe9\n")
    folder.edit("a.txt", "--old", "ü", "--new", "u\udce8")
    assert file.read_bytes() == b"bar \xe9\nzwei u\xe8\n"


def test_a_byte_order_mark_survives(folder: Folder) -> None:
    file = folder.write("a.py", "\ufeffone = 1\ntwo = 2\n")
    assert folder.edit("a.py", stdin=block("one = 1\n", "one = 11\n")) == (
        "edited a.py: lines 1-1\n     1\tone = 11\n     2\ttwo = 2\n"
    )
    assert file.read_bytes() == b"\xef\xbb\xbfone = 11\ntwo = 2\n"


def test_the_locale_does_not_matter(folder: Folder) -> None:
    file = folder.write("ä.txt", "é\n")
    command = ("env", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0", str(TOOL))
    said = folder.edit("ä.txt", "--old", "é", "--new", "ü", command=command)
    assert said == "edited ä.txt: lines 1-1\n     1\tü\n"
    assert file.read_text() == "ü\n"


def test_long_changes_are_shown_in_part(folder: Folder) -> None:
    lines = [f"line {i}\n" for i in range(200)] + ["x" * 9999 + "\n"]
    said = folder.edit("a.txt", stdin=block("", "".join(lines)))
    assert len(said.splitlines()) == 42
    assert "   ...\n" in said
    assert max(map(len, said.splitlines())) < 600


@pytest.mark.slow
def test_not_unique(folder: Folder) -> None:
    folder.write("a.txt", "x\ny\nx\n" + "z\n" * 30)
    rest = ": add lines around it to make it unique\n"
    for said in (
        folder.refused("a.txt", stdin=block("x\n", "1\n")),
        folder.refused("a.txt", "--old", "x"),
    ):
        assert said.endswith(f"the old text was found 2 times, at lines 1, 3{rest}")
    said = folder.refused("a.txt", stdin=block("z\nz\n", "1\n"))
    assert f"found 29 times, at lines 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, ...{rest}" in said


def test_not_found_shows_the_most_similar_place(folder: Folder) -> None:
    others = "".join(f"def f{i}(self):\n    return self.f{i}\n\n" for i in range(500))
    folder.write("mod.py", others + "class Ledger:\n    def total(self, day):\n        pass\n")
    said = folder.refused(
        "mod.py", stdin=block("class Ledger(object):\n    def total(self, days):\n", "\n")
    )
    assert said == (
        "mod.py was not changed: the old text was not found; the most similar place is lines "
        "1501-1502:\n  1501\tclass Ledger:\n  1502\t    def total(self, day):\n"
    )


@pytest.mark.slow
def test_not_found_and_nothing_similar(folder: Folder) -> None:
    folder.write("mod.py", MOD)
    folder.write("big.txt", "word word\n" * 200_000)
    folder.write("empty.txt", "")
    for name in ("mod.py", "big.txt", "empty.txt"):
        said = folder.refused(name, "--old", "Lorem ipsum dolor sit amet")
        assert said.endswith("the old text was not found, nor anything similar\n")


@pytest.mark.parametrize(
    "old",
    [
        "def one():\n  return 1\n",
        "def one():   \n    return 1\n",
        "def one():\n\n    return 1\n",
        "def one( ):\n    return  1\n",
        "\n\ndef one():\n    return 1\n",
    ],
)
def test_a_difference_of_whitespace_only(folder: Folder, old: str) -> None:
    folder.write("mod.py", MOD)
    for said in (
        folder.refused("mod.py", stdin=block(old, "x\n")),
        folder.refused("mod.py", "--old", old),
    ):
        assert said.endswith(
            "it differs only by whitespace or indentation from lines 1-2:\n"
            "     1\tdef one():\n     2\t    return 1\n"
        )


def test_tabs_are_mentioned(folder: Folder) -> None:
    folder.write("mod.py", MOD.replace("    ", "\t"))
    said = folder.refused("mod.py", stdin=block("    return 1\n", "    return 3\n"))
    assert "only by whitespace or indentation (tabs) from lines 2-2" in said


@pytest.mark.slow
def test_a_hint_is_cheap(folder: Folder) -> None:
    lines = [
        f"        self.assertEqual(total({i}, 'some words'), {i % 7})\n" for i in range(12_000)
    ]
    folder.write("big.py", "".join(lines))
    old = "".join(lines[6000:6040]).replace("words", "other words")
    said = folder.refused("big.py", stdin=block(old, ""))
    assert "lines 6001-6040" in said


def test_old_equals_new(folder: Folder) -> None:
    folder.write("mod.py", MOD)
    problem = "the old text and the new text are equal"
    assert problem in folder.refused("mod.py", stdin=block("def one():\n", "def one():\n"))
    assert problem in folder.refused("mod.py", "--old", "one", "--new", "one")


def test_file_not_found(folder: Folder) -> None:
    (folder.path / "pkg").mkdir()
    folder.write("pkg/ledger.py", MOD)
    said = folder.refused("pkg/ledgers.py", stdin=block("def one():\n", "\n"))
    assert said == (
        f"file not found: pkg/ledgers.py (in {folder.path}); did you mean pkg/ledger.py?\n"
    )
    said = folder.refused("nowhere/ledger.py", "--old", "x")
    assert said == f"file not found: nowhere/ledger.py (in {folder.path})\n"


@pytest.mark.slow
def test_paths_that_are_no_files(folder: Folder) -> None:
    (folder.path / "pkg").mkdir()
    assert folder.refused("pkg", "--old", "x") == "pkg is a directory\n"
    os.mkfifo(folder.path / "pipe")
    assert folder.refused("pipe", "--old", "x") == "pipe is no file\n"
    folder.write("file", "x")
    assert folder.refused("file/mod.py", "--new", "x").endswith(": File exists\n")


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ([], "which file?"),
        (["a", "b"], "unexpected argument: b"),
        (["a", "--olt", "x"], "unexpected argument: --olt"),
        (["a", "--old"], "--old needs a text"),
    ],
)
def test_wrong_arguments_show_the_usage(folder: Folder, args: list[str], problem: str) -> None:
    said = folder.refused(*args)
    assert said.startswith(f"{problem}\n\nedit PATH <<'EOF'\n{FORM}\nEOF\n")


def test_help(folder: Folder) -> None:
    said = folder.edit("--help")
    assert "edit PATH --old TEXT --new TEXT" in said
    assert len(said.splitlines()) < 25


@pytest.mark.parametrize("mode", [0o755, 0o640, 0o444])
def test_the_mode_is_kept(folder: Folder, mode: int) -> None:
    file = folder.write("a.sh", "one\n")
    file.chmod(mode)
    folder.edit("a.sh", "--old", "one", "--new", "two")
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_text() == "two\n"


def test_symlinks_stay_symlinks(folder: Folder) -> None:
    (folder.path / "pkg").mkdir()
    file = folder.write("pkg/real.txt", "one\n")
    link = folder.path / "link.txt"
    link.symlink_to("pkg/real.txt")
    folder.edit("link.txt", "--old", "one", "--new", "two")
    assert link.is_symlink()
    assert file.read_text() == "two\n"
    (folder.path / "dangling").symlink_to("pkg/new.txt")
    folder.edit("dangling", "--new", "three")
    assert (folder.path / "pkg/new.txt").read_text() == "three"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(folder: Folder) -> None:
    (folder.path / "pkg").mkdir()
    file = folder.write("pkg/a.txt", "one\n")
    file.parent.chmod(0o555)
    folder.edit("pkg/a.txt", "--old", "one", "--new", "two")
    assert file.read_text() == "two\n"
    file.chmod(0o444)
    assert "Permission denied" in folder.refused("pkg/a.txt", "--old", "two", "--new", "three")


def test_a_file_that_cannot_be_written_is_untouched(folder: Folder) -> None:
    folder.write("a.txt", "one\n")
    # no file may have any length, as on a full disk
    said = folder.edit("-c", f"ulimit -f 0; {QUOTED} a.txt --old n", command=("bash",), code=1)
    assert said == "edit: File too large\n"
    assert folder.files() == {"a.txt": b"one\n"}


@pytest.mark.slow
def test_a_note_when_python_does_not_compile_any_more(folder: Folder) -> None:
    folder.write("mod.py", MOD)
    said = folder.edit("mod.py", "--old", "def two():", "--new", "def two(:")
    assert said.splitlines()[-1].startswith("note: line 5: ")
    assert said.endswith(": the file does not compile now\n")
    # it did not compile before either
    assert "note:" not in folder.edit("mod.py", "--old", "return 2", "--new", "return (")
    assert "note:" not in folder.edit("mod.py", "--old", "(:", "--new", "():")
    assert "note:" not in folder.edit("mod.py", "--old", "return (", "--new", "return '\\d'")
    assert "note: line 2: " in folder.edit("new.py", "--new", "if True:\nprint(1)\n")
    assert "note:" not in folder.edit("new.txt", "--new", "if True:\nprint(1)\n")
    assert "note: line 1: " in folder.edit("null.py", "--new", "def")


@pytest.mark.slow
def test_nobody_reads_the_answer(folder: Folder) -> None:
    file = folder.write("a.txt", "one\n")
    folder.edit("-c", f"{QUOTED} a.txt --old one --new two | true", command=("bash",))
    folder.edit("-c", f"{QUOTED} a.txt --old two --new three >&- <&-", command=("bash",))
    assert file.read_text() == "three\n"
    said = folder.edit("-c", f"{QUOTED} a.txt <&-", command=("bash",), code=1)
    assert said.startswith("there is no block on standard input")


def test_no_traceback(folder: Folder) -> None:
    folder.write("difflib.py", "1 / 0")
    said = folder.edit("a.txt", "--old", "x", code=2, command=("env", "PYTHONPATH=.", str(TOOL)))
    assert said == "edit: internal error: ZeroDivisionError: division by zero\n"


def test_it_is_executable() -> None:
    assert TOOL.read_text().startswith("#!/usr/bin/env python3\n")
    assert os.access(TOOL, os.X_OK)


def test_its_syntax_is_that_of_python_3_5() -> None:
    """Python 3.13 knows no version below 3.7 here: what came in 3.6 is looked for itself."""
    text = TOOL.read_text()
    assert max(map(len, text.splitlines())) < 100
    tree = ast.parse(text, feature_version=(3, 5))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert all(isinstance(node, ast.Import) for node in imported)
    names = {alias.name for node in imported for alias in node.names}
    assert names <= {"difflib", "errno", "os", "re", "sys", "warnings"}


def older_pythons() -> list[str]:
    """Those that run here: on the PATH, where pyenv's shims may lead nowhere, and pyenv's own."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = {
        name: [shutil.which(name), *map(str, pyenv.glob(f"versions/{name[6:]}.*/bin/python"))]
        for name in OLDER
    }
    runs = ("-c", "import sys; print('python%d.%d' % sys.version_info[:2])")
    return [
        python
        for name, candidates in found.items()
        for python in candidates
        if python
        and subprocess.run([python, *runs], capture_output=True, text=True).stdout.strip() == name
    ]


@pytest.mark.slow
def test_older_pythons(folder: Folder) -> None:
    pythons = older_pythons()
    for python in pythons:
        file = folder.write("mod.py", MOD)
        old_python = (python, str(TOOL))
        folder.edit("mod.py", stdin=block("    return 2\n", "    return (\n"), command=old_python)
        said = folder.edit("mod.py", "--old", "retrun 1", code=1, command=old_python)
        assert "lines 2-2" in said
        assert file.read_text() == MOD.replace("2", "(")
    if not pythons:
        pytest.skip("no Python older than 3.10 runs here")
