"""How a backend grades: the harness's steps in any sandbox, and the result of what it wrote."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from orchestrator.backends.base import ExecResult, GradeRequest, Sandbox, SandboxSpec
from orchestrator.dataset.harness import harness_module
from orchestrator.errors import HarnessUnavailable, InfraError
from orchestrator.gold_answers import GoldAnswer, unseal
from orchestrator.types import (
    Failure,
    GradeReason,
    GradeRecord,
    GradeResult,
    Prediction,
    patch_sha256,
)
from orchestrator.verdict import INSTANCE_LOG, PATCH_APPLY_FAILED, REPORT, TEST_OUTPUT, verdict

APPLY_TIMEOUT_S = 60
MAX_TEST_OUTPUT_BYTES = 50_000_000
S = TypeVar("S", bound=Sandbox)


def grade_in_sandbox(
    request: GradeRequest,
    start: Callable[[SandboxSpec], S],
    places: Callable[[S], Mapping[str, str]] = lambda sandbox: {},
) -> GradeResult:
    """The harness's steps in a sandbox: apply as it applies, run its eval script, ask its grader.

    `start` is a backend's own. `places` says where a sandbox has what official images have at
    /testbed and /opt/miniconda3, which eval scripts name. Never raises for what the world does.
    """
    started_at = time.time()
    files: dict[str, bytes] = {}
    error: InfraError | None = None
    image = ""
    try:
        with start(SandboxSpec.of_grade(request.assignment)) as sandbox:
            image = sandbox.image
            files = _evaluate(request, sandbox, places(sandbox))
    except InfraError as problem:
        error = problem
    phases_s = {"harness": time.time() - started_at}
    return grade_result(request, started_at, files, phases_s, error, image)


def grade_result(
    request: GradeRequest,
    started_at: float,
    files: Mapping[str, bytes],
    phases_s: Mapping[str, float],
    error: InfraError | None = None,
    image: str = "",
) -> GradeResult:
    """The result of a grade that ends now: what the files say, or the failure that was met.

    `image` is what its sandbox was started from (`Sandbox.image`).
    """
    resolved: bool | None = None
    reason: GradeReason | None = None
    failure: Failure | None = None
    try:
        if error is not None:
            raise error
        resolved, reason = verdict(request.key.instance_id, files)
    except InfraError as raised:
        failure = raised.failure
    record = GradeRecord(
        request.key,
        patch_sha256(request.patch),
        resolved=resolved,
        reason=reason,
        failure=failure,
        started_at=started_at,
        ended_at=time.time(),
        phases_s=phases_s,
        image=image,
    )
    return GradeResult(record, files)


def failed_grade(
    result: GradeResult, failure: Failure, files: Mapping[str, bytes] | None = None
) -> GradeResult:
    """The same grade, with a failure instead of its verdict, and with further files."""
    record = replace(result.record, resolved=None, reason=None, failure=failure)
    return GradeResult(record, {**result.files, **(files or {})})


def of_gold_patch(request: GradeRequest) -> GradeRequest:
    """A request to grade the instance's gold patch in the same way."""
    return replace(request, patch=_answer(request).gold_patch)


def row_sha256(request: GradeRequest) -> str:
    """Of all that a verdict on the instance depends on: tests, eval script, gold patch."""
    row = json.dumps(dict(_answer(request).row), sort_keys=True, default=str)
    return hashlib.sha256(row.encode("utf-8", "surrogatepass")).hexdigest()


def harness_spec(request: GradeRequest) -> Any:
    """The harness's own description of the instance: its eval script, parser and tests."""
    return harness_module("utils").make_test_spec(dict(_answer(request).row))


def _answer(request: GradeRequest) -> GoldAnswer:
    answer = request.assignment.sealed_answer
    assert answer is not None, "who grades is given the answer"
    return unseal(answer)


def _evaluate(
    request: GradeRequest, sandbox: Sandbox, places: Mapping[str, str]
) -> dict[str, bytes]:
    test_spec = harness_spec(request)
    script = str(test_spec.eval_script)
    for official, here in places.items():
        script = script.replace(official, shlex.quote(here))
    files = {"patch.diff": request.patch.encode("utf-8"), "eval.sh": script.encode("utf-8")}
    applied, log = _apply(sandbox, files["patch.diff"])
    files[INSTANCE_LOG] = log.encode("utf-8")
    if not applied:
        return files

    sandbox.write_file("../eval.sh", files["eval.sh"])
    timeout_s = request.assignment.tests_limit_s
    result = sandbox.exec("bash ../eval.sh", timeout_s, max_bytes=MAX_TEST_OUTPUT_BYTES)
    files[TEST_OUTPUT] = result.text.encode("utf-8")
    if result.timed_out:
        files[TEST_OUTPUT] += f"\n\nTimeout error: {timeout_s} seconds exceeded.".encode()
        return files
    files[REPORT] = _report(request.prediction, test_spec, files[TEST_OUTPUT])
    return files


def _apply(sandbox: Sandbox, patch: bytes) -> tuple[bool, str]:
    """Try the harness's commands in its order, each on a pristine tree.

    Raises:
        HarnessUnavailable: one of them hangs, which says nothing about the patch.
    """
    sandbox.write_file("../patch.diff", patch)
    log = []
    for attempt, command in enumerate(harness_module("run_evaluation").GIT_APPLY_CMDS):
        if attempt:
            _run(sandbox, "git checkout -- . ; git clean -fd")
        result = _run(sandbox, f"{command} ../patch.diff")
        log.append(f"{command}: exit {result.exit_code}\n{result.text}")
        if result.exit_code == 0:
            return True, "\n".join(log)
    return False, "\n".join([*log, PATCH_APPLY_FAILED])


def _run(sandbox: Sandbox, command: str) -> ExecResult:
    limit_s = sandbox.patience(APPLY_TIMEOUT_S)
    result = sandbox.exec(command, limit_s)
    if result.timed_out:
        raise HarnessUnavailable(f"`{command}` took over {limit_s:g} s")
    return result


def harness_report(row: Mapping[str, Any], instance_id: str, patch: str, output: bytes) -> bytes:
    """What the official grader makes of a row's tests' output: its report.json."""
    spec = harness_module("utils").make_test_spec(dict(row))
    return _report(Prediction(instance_id, "", patch), spec, output)


def _report(prediction: Prediction, test_spec: Any, output: bytes) -> bytes:
    """The official grader's report; it reads the output from a file."""
    with tempfile.NamedTemporaryFile(prefix="test_output-", suffix=".txt") as file:
        file.write(output)
        file.flush()
        report = harness_module("grading").get_eval_report(
            test_spec=test_spec,
            prediction=prediction.as_dict(),
            test_log_path=file.name,
            include_tests_status=True,
        )
    return json.dumps(report, indent=4).encode("utf-8")
