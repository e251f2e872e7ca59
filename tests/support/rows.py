"""A run's state from results, without a file, for tests of what is computed from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.journal import GradeRow, RolloutRow, RunState, SessionRow
from orchestrator.journal.model_requests import TraceRow
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeResult,
    Instance,
    ModelRequest,
    Outcome,
    RequestResult,
    RolloutResult,
    patch_sha256,
)

FAILED = "something | broke"


def instances(*ids: str) -> list[Instance]:
    """Instances of the repositories that stand before the ids' dash."""
    return [Instance(i, i.partition("-")[0], "c0ffee", "an issue", f"image-{i}") for i in ids]


def rolled(
    instance_id: str,
    attempt: int = 1,
    patch: str = "diff",
    outcome: Outcome = Outcome.SUBMITTED,
    **more: Any,
) -> RolloutResult:
    return RolloutResult(instance_id, attempt, outcome=outcome, patch=patch, **more)


def failed(
    instance_id: str, attempt: int = 1, kind: FailureKind = FailureKind.WORKER_LOST
) -> RolloutResult:
    return RolloutResult(instance_id, attempt, failure=Failure(kind, FAILED))


def graded(
    instance_id: str,
    resolved: bool | None,
    patch: str = "diff",
    attempt: int = 1,
    reason: GradeReason = GradeReason.TESTS,
) -> GradeResult:
    """A verdict, or with None the failure of a lost worker."""
    digest = patch_sha256(patch)
    if resolved is None:
        lost = Failure(FailureKind.WORKER_LOST, FAILED)
        return GradeResult(instance_id, attempt, digest, failure=lost)
    return GradeResult(instance_id, attempt, digest, resolved=resolved, reason=reason)


def asked(
    instance_id: str = "a",
    result: RequestResult = RequestResult.ANSWERED,
    attempt: int = 1,
    status: int = 200,
    total_s: float = 1.0,
    **more: Any,
) -> ModelRequest:
    return ModelRequest(
        instance_id, attempt, result, "http://h/v1", status, 1000.0, total_s, **more
    )


def sampled(at: float, seconds: float = 10.0, **more: Any) -> TraceRow:
    """A quiet interval of one rollout, but for what is said."""
    quiet = {
        "rollouts": 1,
        "admitted": 1,
        "answers": 0,
        "grown_tokens": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "latency_s": 0.0,
        "in_flight": 0,
        "waiting": 0,
        "down_s": 0.0,
    }
    return TraceRow(at, seconds, **(quiet | more))


def state(
    *rollouts: RolloutResult,
    grades: Sequence[GradeResult] = (),
    sessions: Iterable[SessionRow] = (),
    ids: Sequence[str] = ("a", "b", "c"),
    requests: Sequence[ModelRequest] = (),
    trace: Sequence[TraceRow] = (),
) -> RunState:
    """What a journal says that holds these results."""
    return RunState(
        "r1",
        {i.instance_id: i.repo for i in instances(*ids)},
        [rollout_row(result) for result in rollouts],
        [grade_row(result) for result in grades],
        tuple(sessions),
        tuple(requests),
        tuple(trace),
    )


def rollout_row(result: RolloutResult) -> RolloutRow:
    return RolloutRow(
        result.instance_id,
        result.attempt,
        result.outcome,
        result.failure.kind if result.failure else None,
        result.failure.detail if result.failure else "",
        result.salvaged,
        patch_sha256(result.patch),
        len(result.patch.encode()),
        result.usage,
        result.started_at,
        result.ended_at,
        result.phases_s,
        result.notes,
    )


def grade_row(result: GradeResult) -> GradeRow:
    return GradeRow(
        result.instance_id,
        result.attempt,
        result.patch_sha256,
        result.resolved,
        result.reason,
        result.failure.kind if result.failure else None,
        result.failure.detail if result.failure else "",
        result.started_at,
        result.ended_at,
        result.phases_s,
    )
