from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.evidence import change

from orchestrator.evidence import patches
from orchestrator.evidence.patches import ChangedFile, files_of

RENAME = """diff --git a/src/old.py b/src/new.py
similarity index 90%
rename from src/old.py
rename to src/new.py
--- a/src/old.py
+++ b/src/new.py
@@ -1 +1 @@
-a
+b
"""
REMOVED = """diff --git a/src/gone.py b/src/gone.py
deleted file mode 100644
--- a/src/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-a
"""
BINARY = """diff --git a/logo.png b/logo.png
new file mode 100644
index 0000000..1111111
GIT binary patch
literal 3
KcmZQzfB*mh

literal 0
HcmV?d00001

"""
WRONG_COUNTS = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1,9 +1,99 @@\n a\n+b\n"
NO_MARK = "Here is the patch:\n\n--- src/a.py\n+++ src/a.py\n@@ -1 +1 @@\n-a\n+b\n\nDone."


@pytest.mark.parametrize(
    ("patch", "paths"),
    [
        (change("src/a.py") + change("b.py", new=True), ["src/a.py", "b.py"]),
        (RENAME, ["src/new.py"]),
        (REMOVED, ["src/gone.py"]),
        (BINARY, ["logo.png"]),
        (WRONG_COUNTS, ["src/a.py"]),
        (NO_MARK, ["src/a.py"]),
        (change("src/a.py").replace("\n", "\r\n"), ["src/a.py"]),
        (change("with space.py"), ["with space.py"]),
        (change("src/a.py") + WRONG_COUNTS, ["src/a.py"]),
        ("", []),
        ("   \n", []),
        ("I could not find the bug.", []),
        ("diff --git", []),
        ("--- \n+++ \n", []),
    ],
)
def test_every_file_of_a_patch_is_known_however_odd_it_is(patch: str, paths: list[str]) -> None:
    assert [file.path for file in files_of(patch)] == paths


@given(st.text(alphabet='+- @\\/\nab"\t0,1d', max_size=120))
@example("--- a\n+++ b\n@@ -1,2 +1,1 @@\n")
@example("diff --git a/x b/x\nindex 0..1\nBinary files differ\n")
@example("@@ -0,0 +1 @@\n+x")
def test_no_text_raises(patch: str) -> None:
    assert all(file.path for file in files_of("--- a/x\n+++ b/x\n" + patch))


def test_a_patch_too_large_to_be_parsed_is_read_by_its_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patch = change("src/a.py", "one\ntwo") + change("b.py", new=True) + REMOVED
    parsed = files_of(patch)
    monkeypatch.setattr(patches, "MAX_PARSED_CHARS", 10)

    scanned = files_of(patch)

    assert [(f.path, f.is_added, f.added.split()) for f in scanned] == [
        (f.path, f.is_added, f.added.split()) for f in parsed
    ]


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_a.py",
        "src/pkg/tests/models.py",
        "sympy/core/tests/test_basic.py",
        "test/a.js",
        "testing/test_capture.py",
        "testing/code.py",
        "conftest.py",
        "src/a_test.go",
        "src/__tests__/a.ts",
        "src/button.spec.ts",
        "src/main/java/MoneyTest.java",
        "test_issue.py",
        "django/contrib/admin/tests.py",
    ],
)
def test_tests_are_known_by_their_names(path: str) -> None:
    assert ChangedFile(path).is_test


@pytest.mark.parametrize(
    "path",
    [
        "django/test/client.py",
        "sympy/testing/runtests.py",
        "src/_pytest/python.py",
        "src/latest.py",
        "lib/contest.py",
        "src/attestation.py",
        "testimonials.py",
        "src/pytester.py",
    ],
)
def test_source_is_not_taken_for_tests(path: str) -> None:
    assert not ChangedFile(path).is_test


@pytest.mark.parametrize(
    "name", ["reproduce.py", "repro_issue.py", "debug.py", "check_fix.py", "tmp.py", "my_repro.py"]
)
def test_a_new_script_that_shows_the_issue_is_a_reproduction(name: str) -> None:
    assert ChangedFile(name, is_added=True).is_reproduction
    assert not ChangedFile(name).is_reproduction


@pytest.mark.parametrize(
    "name", ["checks.py", "debugger.py", "plain.py", "tryton.py", "reproducible.py", "issues.py"]
)
def test_a_new_module_is_no_reproduction(name: str) -> None:
    assert not ChangedFile(f"src/pkg/{name}", is_added=True).is_reproduction
