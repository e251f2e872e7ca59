"""How the harness's files become a verdict, or the failure that kept us from one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.errors import HarnessUnavailable
from orchestrator.types import GradeReason
from orchestrator.verdict import (
    END_OF_TESTS,
    INSTANCE_LOG,
    PATCH_APPLY_FAILED,
    REPORT,
    START_OF_TESTS,
    TEST_OUTPUT,
    verdict,
)


def files(
    report: dict[str, Any] | None = None, output: str = "", log: str = ""
) -> dict[str, bytes]:
    found = {TEST_OUTPUT: output.encode(), INSTANCE_LOG: log.encode()}
    if report is not None:
        found[REPORT] = json.dumps({"i": report}).encode()
    return found


APPLIED = {"patch_successfully_applied": True, "tests_status": {}}


def test_a_report_that_says_resolved_is_a_verdict() -> None:
    assert verdict("i", files({"resolved": True, **APPLIED})) == (True, GradeReason.TESTS)


def test_a_report_on_tests_that_failed_is_a_verdict() -> None:
    assert verdict("i", files({"resolved": False, **APPLIED})) == (False, GradeReason.TESTS)


def test_tests_that_were_killed_are_no_verdict() -> None:
    output = f"{END_OF_TESTS}\n>>>>> Test Exit Code: 137\n"

    with pytest.raises(HarnessUnavailable, match="killed"):
        verdict("i", files({"resolved": False, **APPLIED}, output))


def test_a_patch_that_does_not_apply_is_a_verdict() -> None:
    seen = files(log=f"INFO - {PATCH_APPLY_FAILED}:\nerror: patch failed")

    assert verdict("i", seen) == (False, GradeReason.PATCH_DOES_NOT_APPLY)


def test_tests_that_ran_out_of_time_are_a_verdict() -> None:
    seen = files(output="test_a ...\n\nTimeout error: 60 seconds exceeded.")

    assert verdict("i", seen) == (False, GradeReason.TESTS_TIMED_OUT)


def test_a_timeout_that_a_test_prints_is_none() -> None:
    seen = files(output="Timeout error: 60 seconds exceeded.\ntest_b ... ok\n")

    with pytest.raises(HarnessUnavailable):
        verdict("i", seen)


def test_tests_that_ran_to_their_end_without_a_result_are_a_verdict() -> None:
    seen = files({"resolved": False}, output=f"{START_OF_TESTS}\nSyntaxError\n{END_OF_TESTS}\n")

    assert verdict("i", seen) == (False, GradeReason.NO_TEST_RESULTS)


def test_tests_that_were_cut_off_are_no_verdict() -> None:
    with pytest.raises(HarnessUnavailable, match="cut off"):
        verdict("i", files({"resolved": False}, output="test_a ... ok\ntest_b"))


def test_no_report_is_no_verdict_and_says_the_last_error() -> None:
    with pytest.raises(HarnessUnavailable, match="no report: ERROR no space left"):
        verdict("i", files(log="INFO fine\nERROR no space left\nINFO bye"))


def test_no_files_at_all_are_no_verdict() -> None:
    with pytest.raises(HarnessUnavailable, match="no log"):
        verdict("i", {})


def test_what_the_harness_calls_the_worlds_fault_is_no_verdict() -> None:
    report = {"resolved": False, "infra_failure": True, "infra_failure_reason": "OOM killed"}

    with pytest.raises(HarnessUnavailable, match="OOM killed"):
        verdict("i", files(report))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"other": {}}', b'{"i": {}}', b'{"i": []}', b"\xff"]
)
def test_a_report_that_can_not_be_read_is_no_verdict(data: bytes) -> None:
    with pytest.raises(HarnessUnavailable, match="can't be read"):
        verdict("i", {REPORT: data})


def test_output_that_is_no_text_is_read_all_the_same() -> None:
    seen = files({"resolved": False})
    seen[TEST_OUTPUT] = START_OF_TESTS.encode() + b"\n\xff\xfe\n" + END_OF_TESTS.encode()

    assert verdict("i", seen) == (False, GradeReason.NO_TEST_RESULTS)


def test_an_output_that_has_lost_its_head_is_no_verdict() -> None:
    """Seen on a busy host: all tests had passed, and the harness found none of them."""
    seen = files({"resolved": False}, output=f"test_a PASSED\n{END_OF_TESTS}\n")

    with pytest.raises(HarnessUnavailable, match="lost its head"):
        verdict("i", seen)
