"""How what the harness left becomes a grade, or the failure that kept us from one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.specs import make_assignment

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import FailureKind, patch_sha256
from orchestrator.verdict import REPORT


@pytest.fixture
def request_(demo: Dataset, demo_config: RunConfig) -> GradeRequest:
    instance = demo.instances[0]
    answer = demo.answers[instance.instance_id]
    nowhere = Path("/nowhere")
    assignment = make_assignment(
        demo_config, instance, "process", nowhere, attempt=3, sealed_answer=answer
    )
    return GradeRequest(assignment, "a patch")


def test_a_grade_names_the_patch_that_it_is_on(request_: GradeRequest) -> None:
    key = request_.assignment.key.instance_id
    seen = {REPORT: json.dumps({key: {"resolved": True}}).encode()}

    result = grade_result(request_, 1.0, seen, {})

    assert (result.key.instance_id, result.key.attempt, result.resolved) == (key, 3, True)
    assert result.record.patch_sha256 == patch_sha256("a patch")
    assert result.files == seen


def test_an_error_of_the_world_is_a_failure_even_beside_a_report(request_: GradeRequest) -> None:
    seen = {REPORT: json.dumps({request_.assignment.key.instance_id: {"resolved": True}}).encode()}

    result = grade_result(request_, 1.0, seen, {}, SandboxUnavailable("gone"))

    assert result.resolved is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE
