"""Grading in a process sandbox: the eval script runs in the copy, the official grader decides."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import replace

from swebench.harness.grading import get_eval_report
from swebench.harness.run_evaluation import GIT_APPLY_CMDS
from swebench.harness.utils import make_test_spec

from orchestrator.answers import unseal
from orchestrator.backends.grading import (
    INSTANCE_LOG,
    PATCH_APPLY_FAILED,
    REPORT,
    TEST_OUTPUT,
    GradeRequest,
    grade_result,
)
from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.errors import InfraError
from orchestrator.types import GradeResult
from orchestrator.worker.rollout import RolloutRequest, sandbox_spec

APPLY_TIMEOUT_S = 60
MAX_TEST_OUTPUT_BYTES = 50_000_000


def grade_in_process(request: GradeRequest) -> GradeResult:
    """The harness's steps in a copy: apply as it applies, run its eval script, ask its grader."""
    started_at = time.time()
    files: dict[str, bytes] = {}
    error: InfraError | None = None
    try:
        rollout = RolloutRequest(
            request.config,
            request.instance,
            request.attempt,
            "process",
            request.run_dir,
            agent=None,  # type: ignore[arg-type]  # none works in it
        )
        spec = replace(sandbox_spec(rollout), memory_gb=request.config.cluster.grading.memory_gb)
        with ProcessSandbox.start(spec) as sandbox:
            files = _evaluate(request, sandbox)
    except InfraError as problem:
        error = problem
    ended_at = time.time()
    phases = {"harness": ended_at - started_at}
    return grade_result(request, files, started_at, ended_at, phases, error)


def _evaluate(request: GradeRequest, sandbox: ProcessSandbox) -> dict[str, bytes]:
    test_spec = make_test_spec(dict(unseal(request.sealed_answer).row))
    # the script names the places that an image has
    script = test_spec.eval_script.replace("/opt/miniconda3", shlex.quote(sandbox.conda))
    script = script.replace("/testbed", shlex.quote(sandbox.workdir))
    files = {"patch.diff": request.patch.encode("utf-8"), "eval.sh": script.encode("utf-8")}
    applied, log = _apply(sandbox, files["patch.diff"])
    files[INSTANCE_LOG] = log.encode("utf-8")
    if not applied:
        return files

    sandbox.write_file("../eval.sh", files["eval.sh"])
    timeout_s = request.config.cluster.grading.timeout_s
    result = sandbox.exec("bash ../eval.sh", timeout_s, max_bytes=MAX_TEST_OUTPUT_BYTES)
    files[TEST_OUTPUT] = result.text.encode("utf-8")
    if result.timed_out:
        files[TEST_OUTPUT] += f"\n\nTimeout error: {timeout_s} seconds exceeded.".encode()
        return files
    files[REPORT] = _report(request, sandbox, test_spec, files[TEST_OUTPUT])
    return files


def _apply(sandbox: ProcessSandbox, patch: bytes) -> tuple[bool, str]:
    """Try the harness's commands in its order, each on a pristine tree."""
    sandbox.write_file("../patch.diff", patch)
    log = []
    for attempt, command in enumerate(GIT_APPLY_CMDS):
        if attempt:
            sandbox.exec("git checkout -- . ; git clean -fd", APPLY_TIMEOUT_S)
        result = sandbox.exec(f"{command} ../patch.diff", APPLY_TIMEOUT_S)
        log.append(f"{command}: exit {result.exit_code}\n{result.text}")
        if result.exit_code == 0:
            return True, "\n".join(log)
    return False, "\n".join([*log, PATCH_APPLY_FAILED])


def _report(
    request: GradeRequest, sandbox: ProcessSandbox, test_spec: object, output: bytes
) -> bytes:
    """The official grader's report; it reads the output from a file."""
    sandbox.write_file("../test_output.txt", output)
    report = get_eval_report(
        test_spec=test_spec,
        prediction=request.prediction.as_dict(),
        test_log_path=f"{sandbox.workdir}/../test_output.txt",
        include_tests_status=True,
    )
    return json.dumps(report, indent=4).encode("utf-8")
