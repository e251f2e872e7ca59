"""The official harness, one instance at a time, as patches arrive."""

from __future__ import annotations

from orchestrator.backends.grading import GradeRequest
from orchestrator.types import GradeResult

__all__ = ["GradeRequest", "grade"]


def grade(request: GradeRequest) -> GradeResult:
    """Grade one patch, in Docker by the harness itself, or in a process sandbox by its parsers.

    Never raises for what the world does: that is in the result.
    """
    if request.sandbox_kind == "docker":
        from orchestrator.backends.docker.grade import grade_in_docker

        return grade_in_docker(request)
    from orchestrator.backends.process.grade import grade_in_process

    return grade_in_process(request)
