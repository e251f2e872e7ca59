"""What the official harness's files on one patch mean: a verdict, or none. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from orchestrator.errors import HarnessUnavailable
from orchestrator.types import GradeReason

REPORT = "report.json"
INSTANCE_LOG = "run_instance.log"
TEST_OUTPUT = "test_output.txt"
PATCH_APPLY_FAILED = ">>>>> Patch Apply Failed"
TESTS_KILLED = ">>>>> Test Exit Code: 137"
START_OF_TESTS = ">>>>> Start Test Output"
END_OF_TESTS = ">>>>> End Test Output"
TIMED_OUT = re.compile(r"^Timeout error: \d+ seconds exceeded\.\s*\Z", re.MULTILINE)


class _InstanceReport(BaseModel):
    model_config = ConfigDict(extra="ignore")
    resolved: bool
    patch_successfully_applied: bool = False
    infra_failure: bool = False
    infra_failure_reason: str = ""


def verdict(instance_id: str, files: Mapping[str, bytes]) -> tuple[bool, GradeReason]:
    """Read the harness's files of one instance.

    The harness catches its own errors and leaves no report then. It also reports "not resolved"
    for tests whose output was cut off, which is the world's doing: the eval script goes on after
    any failing command, so an output without its end marker means that it was killed, and one
    without its start marker that its head was lost on the way.

    Raises:
        HarnessUnavailable: there is no verdict.
    """
    log = files.get(INSTANCE_LOG, b"").decode("utf-8", errors="replace")
    output = files.get(TEST_OUTPUT, b"").decode("utf-8", errors="replace")
    if REPORT not in files:
        if PATCH_APPLY_FAILED in log:
            return False, GradeReason.PATCH_DOES_NOT_APPLY
        if TIMED_OUT.search(output):
            return False, GradeReason.TESTS_TIMED_OUT
        last = [line for line in log.split("\n") if "ERROR" in line or "Error" in line]
        raise HarnessUnavailable(
            f"{instance_id}: no report: {last[-1][:300] if last else 'no log'}"
        )
    try:
        report = _InstanceReport.model_validate(json.loads(files[REPORT])[instance_id])
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessUnavailable(f"{instance_id}: its report can't be read: {error}") from error
    if TESTS_KILLED in output:
        raise HarnessUnavailable(f"{instance_id}: the tests were killed: out of memory, mostly")
    if report.infra_failure:
        raise HarnessUnavailable(f"{instance_id}: the harness says {report.infra_failure_reason}")
    if report.resolved or report.patch_successfully_applied:
        return report.resolved, GradeReason.TESTS
    if END_OF_TESTS not in output:
        raise HarnessUnavailable(f"{instance_id}: the tests were cut off before their end")
    if START_OF_TESTS not in output:
        raise HarnessUnavailable(f"{instance_id}: the tests' output has lost its head")
    return False, GradeReason.NO_TEST_RESULTS
