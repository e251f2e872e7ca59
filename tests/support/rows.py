"""A run's state from results, without a file, for tests of what is computed from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.journal import RunState, SessionRow
from orchestrator.types import (
    Choice,
    Decision,
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    Instance,
    ModelRequest,
    Outcome,
    RequestResult,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)

RUN_ID = "r1"
FAILED = "something | broke"


def instances(*ids: str) -> list[Instance]:
    """Instances of the repositories that stand before the ids' dash."""
    return [Instance(i, i.partition("-")[0], "c0ffee", "an issue", f"image-{i}") for i in ids]


def key_of(instance_id: str, attempt: int = 1) -> RolloutKey:
    return RolloutKey(RUN_ID, instance_id, attempt)


def rolled(
    instance_id: str,
    attempt: int = 1,
    patch: str = "diff",
    outcome: Outcome = Outcome.SUBMITTED,
    files: Mapping[str, bytes] | None = None,
    **more: Any,
) -> RolloutResult:
    record = RolloutRecord(key_of(instance_id, attempt), outcome=outcome, **more)
    return RolloutResult(record, patch, files=files or {})


def failed(
    instance_id: str,
    attempt: int = 1,
    kind: FailureKind = FailureKind.WORKER_LOST,
    partial_patch: str = "",
) -> RolloutResult:
    record = RolloutRecord(key_of(instance_id, attempt), failure=Failure(kind, FAILED))
    return RolloutResult(record, partial_patch=partial_patch)


def failure_of(result: RolloutResult) -> tuple[FailureKind, str]:
    """Kind and detail of the failure that a rollout ended in."""
    assert result.failure is not None
    assert result.outcome is None
    assert result.patch == ""
    return result.failure.kind, result.failure.detail


def changed_lines(patch: str) -> list[str]:
    """The lines of a patch without their context, by which patches of other tools compare."""
    return [line for line in patch.splitlines() if line[:1] in ("+", "-")]


def graded(
    instance_id: str,
    resolved: bool | None,
    patch: str = "diff",
    attempt: int = 1,
    reason: GradeReason = GradeReason.TESTS,
    files: Mapping[str, bytes] | None = None,
) -> GradeResult:
    """A verdict, or with None the failure of a lost worker."""
    record = GradeRecord(
        key_of(instance_id, attempt),
        patch_sha256(patch),
        resolved=resolved,
        reason=None if resolved is None else reason,
        failure=Failure(FailureKind.WORKER_LOST, FAILED) if resolved is None else None,
    )
    return GradeResult(record, files or {})


def decision(
    instance_id: str, patch: str | None = None, choice: Choice = Choice.UNRESOLVED
) -> Decision:
    """What ana decided about an instance with this patch, or without an outcome."""
    digest = "" if patch is None else patch_sha256(patch)
    return Decision(instance_id, choice, "30 GB", "ana", 1.0, digest, 1)


def asked(
    instance_id: str = "a",
    result: RequestResult = RequestResult.ANSWERED,
    attempt: int = 1,
    status: int = 200,
    total_s: float = 1.0,
    **more: Any,
) -> ModelRequest:
    return ModelRequest(
        key_of(instance_id, attempt), result, "http://h/v1", status, 1000.0, total_s, **more
    )


def sampled(at: float, seconds: float = 10.0, **more: Any) -> LoadSample:
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
    return LoadSample(at, seconds, **(quiet | more))


def state(
    *rollouts: RolloutResult,
    grades: Sequence[GradeResult] = (),
    sessions: Iterable[SessionRow] = (),
    ids: Sequence[str] = ("a", "b", "c"),
    requests: Sequence[ModelRequest] = (),
    samples: Sequence[LoadSample] = (),
    decisions: Sequence[Decision] = (),
) -> RunState:
    """What a journal says that holds these results."""
    return RunState(
        RUN_ID,
        {i.instance_id: i.repo for i in instances(*ids)},
        [result.record for result in rollouts],
        [result.record for result in grades],
        tuple(sessions),
        tuple(requests),
        tuple(samples),
        tuple(decisions),
    )
