"""Whoever can grade does it; who can't says so in the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.specs import make_assignment

from orchestrator.backends import GradeRequest
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.types import (
    Failure,
    FailureKind,
    Instance,
    Outcome,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.grade import grade

NOT_HERE = "no.such.module:Backend"


def test_a_backend_that_this_node_can_not_import_is_a_failure_of_the_grade(
    demo_config: RunConfig, demo: Dataset, instance: Instance, tmp_path: Path
) -> None:
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(
        demo_config, instance, NOT_HERE, tmp_path, attempt=2, sealed_answer=answer
    )

    result = grade(GradeRequest(assignment, "a patch"))

    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE
    assert NOT_HERE in result.failure.detail
    assert (result.key.attempt, result.record.patch_sha256) == (2, patch_sha256("a patch"))


def test_and_of_the_rollout(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
) -> None:
    result = play(make_config("nop"), instance, NOT_HERE, tmp_path)

    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE


def test_a_grade_is_the_backends(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
) -> None:
    config, answer = make_config("gold"), demo.answers[instance.instance_id]
    rolled = play(config, instance, "process", tmp_path, sealed_answer=answer)
    assignment = make_assignment(config, instance, "process", tmp_path, sealed_answer=answer)

    result = grade(GradeRequest(assignment, rolled.patch))

    assert rolled.outcome is Outcome.SUBMITTED
    assert result.resolved is True, result.failure


def test_a_bug_of_ours_is_called_so_and_leaves_its_traceback(
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

    result = grade(GradeRequest(assignment, "a patch"))

    assert result.failure == Failure(FailureKind.INTERNAL_ERROR, "ZeroDivisionError: no")
    assert b"in buggy" in result.files["traceback.txt"]
