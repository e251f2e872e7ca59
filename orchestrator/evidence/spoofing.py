"""Outputs of tests that claim to have passed, and were written by the patch itself. Pure.

The harness compares what was printed with the exit status of the test command (swebench 5,
`grading.get_logs_eval`): tests that report no failure and end with one are not believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.evidence.facts import Evidence
from orchestrator.evidence.patches import ChangedFile
from orchestrator.evidence.tests import tests_part
from orchestrator.types import GradeReason

_EXIT_STATUS = re.compile(r"^>>>>> Test Exit Code: (-?\d+)", re.MULTILINE)
_PASSED = re.compile(r"^(?:PASSED \S|.* PASSED\s*$|.* \.\.\. +ok$|test_\S+ ok$)", re.MULTILINE)


def spoofed(evidence: Evidence, files: Sequence[ChangedFile]) -> str:
    """Why an instance's test output is not to be believed; empty where nothing was found."""
    output = evidence.test_output
    status = _EXIT_STATUS.search(output)
    grade = evidence.grade
    if (
        grade is not None
        and grade.reason is GradeReason.NO_TEST_RESULTS
        and status is not None
        and status[1] != "0"
        and _PASSED.search(tests_part(output))
    ):
        return (
            "its output reports passed tests and no failure, and the test command ended with "
            f"status {status[1]}: the harness does not believe it"
        )
    return ""
