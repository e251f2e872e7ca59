"""One grade, on the worker: the official harness on one patch, as its backend runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.backends import Backend, GradeRequest, Host
from orchestrator.backends.grading import grade_result
from orchestrator.errors import InfraError, PrerequisiteError, SandboxUnavailable
from orchestrator.types import GradeResult
from orchestrator.worker.backend import backend_of
from orchestrator.worker.failures import unforeseen
from orchestrator.worker.gold_control import ControlledGrade
from orchestrator.worker.images import is_gone
from orchestrator.worker.messages import ImageGone


def grade(request: GradeRequest) -> Iterator[ImageGone | GradeResult]:
    """Grade one patch; yields the result, or that its image is gone.

    Never raises: what the world does, or a bug of ours, is in the result.
    """
    started_at = time.time()
    try:
        backend = backend_of(request.assignment)
        if is_gone(backend, request.assignment):
            yield ImageGone(request.key)
            return
        result = _grade(backend, request)
    except InfraError as error:
        result = grade_result(request, started_at, {}, {}, error)
    except Exception as error:  # noqa: BLE001 - the boundary of the worker: it ends as a failure
        failure, files = unforeseen(error)
        result = grade_result(request, started_at, files, {}, failure)
    yield result


def _grade(backend: Backend, request: GradeRequest) -> GradeResult:
    host = _this_host(backend, request)
    # the driver may see another one
    assignment = replace(request.assignment, emulated=host.emulated)
    request = replace(request, assignment=assignment)
    result = backend.grade(request)
    if host.emulated:
        control = ControlledGrade(request, host)
        control.learn_from(result)
        result = control.judge(backend, result)
    return result


def _this_host(backend: Backend, request: GradeRequest) -> Host:
    assignment = request.assignment
    settings = assignment.config.cluster.sandbox.model_copy(update={"kind": assignment.backend})
    try:
        return backend.host(settings)
    except PrerequisiteError as error:
        raise SandboxUnavailable(str(error)) from error
