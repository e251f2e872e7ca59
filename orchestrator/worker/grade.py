"""The official harness, one instance at a time, as patches arrive."""

from __future__ import annotations

import time

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import GradeResult
from orchestrator.worker.backend import backend_of

__all__ = ["GradeRequest", "grade"]


def grade(request: GradeRequest) -> GradeResult:
    """Grade one patch, as the backend of its sandbox does it.

    Never raises for what the world does: that is in the result.
    """
    try:
        backend = backend_of(request.assignment)
    except SandboxUnavailable as error:
        return grade_result(request, {}, time.time(), time.time(), {}, error)
    return backend.grade(request)
