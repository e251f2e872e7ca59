"""How long each step of a trajectory took: the model's part, and its command's. Pure.

A step knows when its answer arrived, the journal when each request began. What lies between an
answer and the next request is the command's time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.agents.steps import Step
from orchestrator.types import ModelRequest, RolloutRecord

CLOCKS_S = 1.0
"""So far may the clocks of the gateway and of a worker be apart."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step; None where nobody knows."""

    model_s: float | None = None
    """From its first request to its answer, waiting included."""
    command_s: float | None = None
    """From its answer to the next request, or to the rollout's end."""
    whole_s: float | None = None
    """All of it; known without its parts where requests were not recorded."""


def step_times(
    steps: Sequence[Step], rollout: RolloutRecord, requests: Sequence[ModelRequest]
) -> tuple[StepTime, ...]:
    """One for each step. `requests` are those of the rollout, in any order."""
    starts = sorted(request.started_at for request in requests)
    if not starts:
        return tuple(StepTime(whole_s=_between(a, b)) for a, b in _pairs(steps))
    return tuple(
        _of_requests(step, before, starts, rollout.ended_at)
        for step, (before, _) in zip(steps, _pairs(steps), strict=True)
    )


def _pairs(steps: Sequence[Step]) -> list[tuple[float | None, float | None]]:
    """When the answer before each step's arrived, and when its own."""
    times = [step.time for step in steps]
    return list(zip([None, *times[:-1]], times, strict=True)) if times else []


def _of_requests(step: Step, before: float | None, starts: Sequence[float], end: float) -> StepTime:
    if step.time is None:
        return StepTime()
    first = bisect_right(starts, before) if before is not None else 0
    following = bisect_right(starts, step.time)
    model_s = _between(starts[first], step.time) if first < following else None
    command_s = _between(step.time, starts[following] if following < len(starts) else end)
    known = [part for part in (model_s, command_s) if part is not None]
    return StepTime(model_s, command_s, round(sum(known), 3) if known else None)


def _between(start: float | None, end: float | None) -> float | None:
    """None where it is not known, or where the clocks are too far apart to tell."""
    if start is None or end is None or end - start < -CLOCKS_S:
        return None
    return round(max(0.0, end - start), 3)
