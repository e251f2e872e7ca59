"""What a grade is asked with, and how the harness's files become a verdict or a failure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from orchestrator.config.schema import RunConfig
from orchestrator.errors import HarnessUnavailable, InfraError
from orchestrator.types import (
    Failure,
    GradeReason,
    GradeRecord,
    GradeResult,
    Instance,
    Prediction,
    RolloutKey,
    SealedAnswer,
    patch_sha256,
)

REPORT = "report.json"
INSTANCE_LOG = "run_instance.log"
TEST_OUTPUT = "test_output.txt"
PATCH_APPLY_FAILED = ">>>>> Patch Apply Failed"
TESTS_KILLED = ">>>>> Test Exit Code: 137"
END_OF_TESTS = ">>>>> End Test Output"
TIMED_OUT = re.compile(r"^Timeout error: \d+ seconds exceeded\.\s*\Z", re.MULTILINE)


@dataclass(frozen=True)
class GradeRequest:
    """Everything that a worker needs to grade one patch."""

    config: RunConfig
    instance: Instance
    attempt: int
    patch: str
    sandbox_kind: str
    run_dir: str
    sealed_answer: SealedAnswer
    driver_host: str = ""
    evict_image: bool = False
    """Remove the instance's image from this host afterwards."""

    @property
    def key(self) -> RolloutKey:
        return RolloutKey(self.config.run_id, self.instance.instance_id, self.attempt)

    @property
    def prediction(self) -> Prediction:
        return Prediction(self.instance.instance_id, self.config.model_name_or_path, self.patch)


class _InstanceReport(BaseModel):
    model_config = ConfigDict(extra="ignore")
    resolved: bool
    patch_successfully_applied: bool = False
    infra_failure: bool = False
    infra_failure_reason: str = ""


def verdict(instance_id: str, files: Mapping[str, bytes]) -> tuple[bool, GradeReason]:
    """Read the harness's files of one instance.

    The harness catches its own errors and leaves no report then. It also reports "not resolved"
    for tests that were cut off in the middle, which is the world's doing: the eval script goes on
    after any failing command, so an output without its end marker means that it was killed.

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
        last = [line for line in log.splitlines() if "ERROR" in line or "Error" in line]
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
    return False, GradeReason.NO_TEST_RESULTS


def grade_result(
    request: GradeRequest,
    files: Mapping[str, bytes],
    started_at: float,
    ended_at: float,
    phases_s: Mapping[str, float],
    error: InfraError | None = None,
) -> GradeResult:
    """A verdict from the files, or the failure that kept us from one."""
    resolved: bool | None = None
    reason: GradeReason | None = None
    failure: Failure | None = None
    try:
        if error is not None:
            raise error
        resolved, reason = verdict(request.instance.instance_id, files)
    except InfraError as raised:
        failure = Failure(raised.kind, str(raised))
    record = GradeRecord(
        request.key,
        patch_sha256(request.patch),
        resolved=resolved,
        reason=reason,
        failure=failure,
        started_at=started_at,
        ended_at=ended_at,
        phases_s=phases_s,
    )
    return GradeResult(record, files)
