"""How often failures are redone, over all sessions of a run: nothing for ever. Pure.

Within a session each kind has its retries (`rollout.retries`). Over all sessions:

| failure | bound |
|---|---|
| `sandbox_broken` | the third of an instance is the agent's doing: an outcome (`settle`) |
| `interrupted`, `endpoint_unavailable`, | none: a person's stop, or trouble that is not the |
| `shared_worker_lost` | instance's own |
| every other, of a rollout or a grade | `MAX_FAILURES` of an instance: set aside until a person |
|  | decides (`RunState.set_aside`) |
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.types import Failure, FailureKind, Outcome, RolloutResult

BREAKS = 3
MAX_FAILURES = 10
NOT_COUNTED = (
    FailureKind.INTERRUPTED,
    FailureKind.ENDPOINT_UNAVAILABLE,
    FailureKind.SHARED_WORKER_LOST,
)
BROKEN = (
    f"in each of {BREAKS} attempts the agent left a sandbox that ran no commands any more, beside "
    "another one that did"
)


def settle(result: RolloutResult, breaks_before: int) -> RolloutResult:
    """The same result, or an outcome instead of a failure that is the agent's doing by now.

    `breaks_before` counts the instance's earlier rollouts that ended as `sandbox_broken`. The patch
    is what could be read of the repository this time.
    """
    failure = result.failure
    if failure is None or failure.kind is not FailureKind.SANDBOX_BROKEN:
        return result
    if breaks_before + 1 < BREAKS:
        return result
    record = replace(
        result.record,
        outcome=Outcome.GAVE_UP,
        failure=None,
        salvaged=bool(result.partial_patch),
        notes=(*result.record.notes, BROKEN),
    )
    return replace(result, record=record, patch=result.partial_patch, partial_patch="")


def counts(failure: Failure | None) -> bool:
    """Whether a failure counts towards `MAX_FAILURES`."""
    return failure is not None and failure.kind not in NOT_COUNTED
