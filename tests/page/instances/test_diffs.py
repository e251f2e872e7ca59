from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.page.instances.diffs import MAX_LINE_CHARS, MAX_LINES, beside, files_of_diff

ONE = """\
diff --git a/src/a.py b/src/a.py
index 1..2 100644
--- a/src/a.py
+++ b/src/a.py
@@ -1,3 +1,3 @@ def a():
 def a():
-    return 1
+    return 2

"""

LINES = [*ONE.split("\n"), "--- a", "+++ b", "@@ -1 +1 @@", "-", "+", "\0"]


def one(path: str) -> str:
    return ONE.replace("src/a.py", path)


def test_a_patch_is_shown_file_by_file_with_the_kind_of_each_line() -> None:
    (file,) = files_of_diff(ONE)

    assert file.path == "src/a.py"
    assert file.kinds == "@ -+ "
    assert file.lines[1:4] == [" def a():", "-    return 1", "+    return 2"]
    assert (file.added, file.removed, file.left_out) == (1, 1, 0)


def test_a_file_of_both_patches_stands_beside_itself() -> None:
    pairs = beside(one("a.py") + one("b.py"), one("c.py") + one("b.py"))

    sides = [(p.path, p.ours is not None, p.gold is not None) for p in pairs]
    assert sides == [("a.py", True, False), ("b.py", True, True), ("c.py", False, True)]


@pytest.mark.parametrize(
    ("patch", "path", "kinds"),
    [
        pytest.param("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "x", "@-+", id="no git line"),
        pytest.param("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "x", "@-", id="removed file"),
        pytest.param("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n", "x", "@+", id="new file"),
        pytest.param(
            "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-a\n+b\n+c\n-d\n", "x", "@-++-", id="counts too low"
        ),
        pytest.param(
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- b\n+++ c\n d\n", "x", "@-+ ", id="dashes inside"
        ),
        pytest.param("@@ -1 +1 @@\n-a\n+b\n", "", "@-+", id="no file named"),
        pytest.param("I have done it.\n", "", "~", id="no patch at all"),
        pytest.param("--- a/x\n+++ b/x\n@@ oops\n-a\n", "x", "~~", id="no hunk"),
        pytest.param(
            "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n",
            "x",
            "@-~+",
            id="no newline at the end",
        ),
        pytest.param(
            "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
            "y",
            "~~~",
            id="renamed",
        ),
        pytest.param(
            f"--- a/x\n+++ b/x\n@@ -1,{'9' * 5000} +1 @@\n-a\n", "x", "~~", id="endless count"
        ),
    ],
)
def test_odd_patches_are_shown_all_the_same(patch: str, path: str, kinds: str) -> None:
    (file,) = files_of_diff(patch)

    assert (file.path, file.kinds) == (path, kinds)


def test_counts_that_are_too_high_do_not_swallow_the_next_file() -> None:
    first = one("a.py").replace("@@ -1,3 +1,3 @@", "@@ -1,300 +1,300 @@")

    assert [file.path for file in files_of_diff(first + one("b.py"))] == ["a.py", "b.py"]


def test_a_file_that_is_endless_is_cut_and_says_so() -> None:
    long = "".join(f"+{'x' * 5000}\n" for _ in range(MAX_LINES + 7))

    (file,) = files_of_diff(f"--- a/x\n+++ b/x\n@@ -0,0 +1,9999 @@\n{long}")

    assert (len(file.lines), len(file.kinds), file.left_out) == (MAX_LINES, MAX_LINES, 8)
    assert len(file.lines[1]) < MAX_LINE_CHARS + 20
    assert file.added == MAX_LINES + 7


def test_what_nobody_would_see_in_a_patch_can_be_seen() -> None:
    (file,) = files_of_diff("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+if a\u202e\x00\x1b[8m:\u200b\r\n")

    assert file.lines[1] == "+if a[U+202E]\ufffd[ESC][8m:[U+200B][CR]"


@pytest.mark.fuzz
@given(
    st.lists(st.sampled_from([*ONE.split("\n"), "--- a", "+++ b", "@@ -1 +1 @@", "-", "+", "\0"]))
)
def test_whatever_a_patch_holds_each_line_has_a_kind(lines: list[str]) -> None:
    for file in files_of_diff("\n".join(lines)):
        assert len(file.lines) == len(file.kinds)
        assert set(file.kinds) <= set("@+- ~")


def test_a_file_is_one_and_the_same_however_its_path_begins() -> None:
    ours = "--- ./m.py\n+++ ./m.py\n@@ -1 +1 @@\n-a\n+b\n"
    gold = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-a\n+c\n"

    (pair,) = beside(ours, gold)

    assert pair.path == "m.py"
    assert pair.ours is not None
    assert pair.gold is not None
