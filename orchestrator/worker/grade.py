"""One grade, on the worker: the official harness on one patch, as its backend runs it."""

from __future__ import annotations

import time

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.errors import InfraError
from orchestrator.types import GradeResult
from orchestrator.worker.backend import backend_of
from orchestrator.worker.failures import unforeseen


def grade(request: GradeRequest) -> GradeResult:
    """Grade one patch.

    Never raises: what the world does, or a bug of ours, is in the result.
    """
    started_at = time.time()
    try:
        return backend_of(request.assignment).grade(request)
    except InfraError as error:
        return grade_result(request, started_at, {}, {}, error)
    except Exception as error:  # noqa: BLE001 - the boundary of the worker: it ends as a failure
        failure, files = unforeseen(error)
        return grade_result(request, started_at, files, {}, failure)
