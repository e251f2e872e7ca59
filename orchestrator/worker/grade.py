"""One grade, on the worker: the official harness on one patch, as its backend runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.errors import InfraError
from orchestrator.types import GradeResult
from orchestrator.worker.backend import backend_of
from orchestrator.worker.failures import unforeseen
from orchestrator.worker.images import announce_pull
from orchestrator.worker.messages import PullBegins


def grade(request: GradeRequest) -> Iterator[PullBegins | GradeResult]:
    """Grade one patch; yields the result as its last value.

    Never raises: what the world does, or a bug of ours, is in the result.
    """
    started_at = time.time()
    try:
        yield from announce_pull(request.assignment)
        result = backend_of(request.assignment).grade(request)
    except InfraError as error:
        result = grade_result(request, started_at, {}, {}, error)
    except Exception as error:  # noqa: BLE001 - the boundary of the worker: it ends as a failure
        failure, files = unforeseen(error)
        result = grade_result(request, started_at, files, {}, failure)
    yield result
