"""A grade is its backend's; what goes wrong is in the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.specs import graded_by_worker, make_assignment

from orchestrator.backends import GradeRequest
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.errors import HarnessUnavailable, InfraError, SandboxUnavailable, WorkerLost
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeResult,
    Instance,
    Outcome,
    RolloutResult,
)


@pytest.mark.slow
def test_a_backend_grades_the_patch(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
) -> None:
    config, answer = make_config("gold"), demo.answers[instance.instance_id]
    rolled = play(config, instance, "process", tmp_path, sealed_answer=answer)
    assignment = make_assignment(config, instance, "process", tmp_path, sealed_answer=answer)

    result = graded_by_worker(GradeRequest(assignment, rolled.patch))

    assert rolled.outcome is Outcome.SUBMITTED
    assert isinstance(result, GradeResult)
    assert result.resolved is True, result.failure


@pytest.mark.parametrize("trouble", [SandboxUnavailable, HarnessUnavailable, WorkerLost])
def test_what_a_backend_calls_the_worlds_doing_is_no_bug(
    demo_config: RunConfig,
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: type[InfraError],
) -> None:
    def broken(_: object) -> None:
        raise trouble("gone")

    monkeypatch.setattr("orchestrator.worker.grade.backend_of", broken)
    assignment = make_assignment(demo_config, instance, "process", tmp_path)

    result = graded_by_worker(GradeRequest(assignment, "a patch"))

    assert isinstance(result, GradeResult)
    assert result.failure == Failure(trouble.kind, "gone")
    assert not result.files


def test_a_bug_in_our_code_is_an_internal_error_with_its_traceback(
    demo_config: RunConfig,
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def buggy(_: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr("orchestrator.worker.grade.backend_of", buggy)
    assignment = make_assignment(demo_config, instance, "process", tmp_path)

    result = graded_by_worker(GradeRequest(assignment, "a patch"))

    assert isinstance(result, GradeResult)
    assert result.failure == Failure(FailureKind.INTERNAL_ERROR, "ZeroDivisionError: no")
    assert b"in buggy" in result.files["traceback.txt"]
