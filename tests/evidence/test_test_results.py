from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.evidence.facts import TestKind
from orchestrator.evidence.tests import MAX_OUTPUT_CHARS, instance_report, read_results

HEAD = "setting up\nFAIL: not a test\n>>>>> Start Test Output\n"
END = "\n>>>>> End Test Output\n>>>>> Test Exit Code: 1\n"

PYTEST = """============================= test session starts ==============================
collected 3 items

tests/test_a.py .FE                                                      [100%]

==================================== ERRORS ====================================
_______________________ ERROR at setup of test_setup ___________________________

    raise RuntimeError("no fixture")
E   RuntimeError: no fixture
=================================== FAILURES ===================================
_____________________________ TestMoney.test_split _____________________________

    def test_split(self):
>       assert split(3) == 2
E       assert 1 == 2
----------------------------- Captured stdout call -----------------------------
dividing
___________________________ test_param[a-b] ___________________________

E       assert "a" == "b"
=========================== short test summary info ============================
PASSED tests/test_a.py::test_fine
FAILED tests/test_a.py::TestMoney::test_split - assert 1 == 2
FAILED tests/test_a.py::test_only_here - ValueError: short
"""
PYTEST_COLLECTION = """==================================== ERRORS ===============================
_______________________ ERROR collecting tests/test_a.py _______________________
ImportError while importing test module 'tests/test_a.py'.
E   ImportError: cannot import name 'split'
=========================== short test summary info ============================
ERROR tests/test_a.py
"""
DJANGO = """test_split (money.tests.MoneyTests) ... FAIL
Splits a bill. ... ERROR

======================================================================
FAIL: test_split (money.tests.MoneyTests)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "tests.py", line 3, in test_split
AssertionError: 1 != 2

======================================================================
ERROR: test_bill (money.tests.MoneyTests)
Splits a bill.
----------------------------------------------------------------------
Traceback (most recent call last):
KeyError: 'bill'

----------------------------------------------------------------------
Ran 2 tests in 0.010s

FAILED (failures=1, errors=1)
"""
UNITTEST_311 = """======================================================================
FAIL: test_split (tests.test_money.TestMoney.test_split)
----------------------------------------------------------------------
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 1 test in 0.001s
"""
SYMPY = """sympy/core/tests/test_basic.py[2] F.   [FAIL]

________________________________________________________________________________
________________ sympy/core/tests/test_basic.py:test_immutable _________________
Traceback (most recent call last):
  File "test_basic.py", line 38, in test_immutable
AssertionError

============= tests finished: 1 passed, 1 failed, in 2.16 seconds ==============
"""


def why(name: str, output: str) -> str:
    report = {"tests_status": {"FAIL_TO_PASS": {"success": [], "failure": [name]}}}
    (found,) = read_results(report, HEAD + output + END)
    assert (found.name, found.kind, found.passed) == (name, TestKind.FAIL_TO_PASS, False)
    return found.output


@pytest.mark.parametrize(
    ("name", "output", "says"),
    [
        ("tests/test_a.py::TestMoney::test_split", PYTEST, "E       assert 1 == 2"),
        ("tests/test_a.py::TestMoney::test_split", PYTEST, "dividing"),
        ("tests/test_a.py::test_param[a-b]", PYTEST, 'assert "a" == "b"'),
        ("tests/test_a.py::test_setup", PYTEST, "RuntimeError: no fixture"),
        ("tests/test_a.py::test_only_here", PYTEST, "ValueError: short"),
        ("tests/test_a.py::test_split", PYTEST_COLLECTION, "cannot import name 'split'"),
        ("test_split (money.tests.MoneyTests)", DJANGO, "AssertionError: 1 != 2"),
        ("Splits a bill.", DJANGO, "KeyError: 'bill'"),
        ("test_bill (money.tests.MoneyTests)", DJANGO, "KeyError: 'bill'"),
        (
            "test_split (tests.test_money.TestMoney.test_split)",
            UNITTEST_311,
            "AssertionError: 1 != 2",
        ),
        ("test_split (tests.test_money.TestMoney)", UNITTEST_311, "AssertionError: 1 != 2"),
        ("test_immutable", SYMPY, "line 38, in test_immutable"),
        ("tests/test_a.py::TestMoney::test_split", PYTEST.replace("\n", "\r\n"), "dividing"),
    ],
)
def test_a_failed_test_has_the_lines_that_say_why(name: str, output: str, says: str) -> None:
    found = why(name, output)

    assert says in found
    assert "Ran 2 tests" not in found
    assert "short test summary" not in found


def test_a_name_that_no_file_can_hold_is_written_in_another_way() -> None:
    status = {"FAIL_TO_PASS": {"success": ["half \ud83d"], "failure": []}}

    (found,) = read_results({"tests_status": status}, "")

    assert found.name == "half \ufffd"


def test_one_tests_lines_are_not_anothers() -> None:
    assert "KeyError" not in why("test_split (money.tests.MoneyTests)", DJANGO)
    assert "1 != 2" not in why("Splits a bill.", DJANGO)
    assert why("test_of_nobody", DJANGO) == ""


def test_a_long_output_of_a_test_is_cut_in_its_middle() -> None:
    long = SYMPY.replace("AssertionError", "x" * 50_000 + "\nAssertionError")

    found = why("test_immutable", long)

    assert len(found) < MAX_OUTPUT_CHARS + 100
    assert found.endswith("AssertionError")
    assert "characters left out" in found


def test_tests_are_counted_as_the_harness_counts_them() -> None:
    status = {
        "FAIL_TO_PASS": {"success": ["a"], "failure": ["b"]},
        "PASS_TO_PASS": {"success": ["c", "d"], "failure": []},
        "FAIL_TO_FAIL": {"success": ["e"], "failure": ["f"]},
    }

    found = read_results({"tests_status": status}, "")

    assert [(t.name, t.kind, t.passed) for t in found] == [
        ("b", TestKind.FAIL_TO_PASS, False),
        ("a", TestKind.FAIL_TO_PASS, True),
        ("c", TestKind.PASS_TO_PASS, True),
        ("d", TestKind.PASS_TO_PASS, True),
    ]


@pytest.mark.parametrize(
    "report",
    [
        None,
        [],
        {},
        {"tests_status": None},
        {"tests_status": {"FAIL_TO_PASS": []}},
        {"tests_status": {"FAIL_TO_PASS": {"failure": "all"}}},
        {"tests_status": {"FAIL_TO_PASS": {"failure": [None, 3]}}},
    ],
)
def test_a_report_without_counts_has_no_tests(report: Any) -> None:
    assert read_results(report, HEAD + DJANGO + END) == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"b": {}}', '{"a": []}'])
def test_a_report_that_says_nothing_of_the_instance_is_said_to(text: str) -> None:
    with pytest.raises(ValueError, match=r"says nothing|JSON|Expecting"):
        instance_report(text.encode(), "a")
    assert instance_report(json.dumps({"a": {"x": 1}}).encode(), "a") == {"x": 1}
