"""A node that lacks somebody else's backend: its rollouts and grades fail, and are redone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.specs import graded_by_worker, make_assignment

from orchestrator.backends import GradeRequest
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.types import FailureKind, GradeResult, Instance, RolloutResult, patch_sha256

NOT_HERE = "no.such.module:Backend"


def test_a_backend_that_this_node_can_not_import_is_a_failure_of_the_rollout(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
) -> None:
    result = play(make_config("nop"), instance, NOT_HERE, tmp_path)

    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE


def test_a_backend_that_this_node_can_not_import_is_a_failure_of_the_grade(
    demo_config: RunConfig, demo: Dataset, instance: Instance, tmp_path: Path
) -> None:
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(
        demo_config, instance, NOT_HERE, tmp_path, attempt=2, sealed_answer=answer
    )

    result = graded_by_worker(GradeRequest(assignment, "a patch"))

    assert isinstance(result, GradeResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE
    assert NOT_HERE in result.failure.detail
    assert (result.key.attempt, result.record.patch_sha256) == (2, patch_sha256("a patch"))
