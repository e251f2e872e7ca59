"""What a run's calls of functions came to, and its answers in text: numbers from a journal's rows.
Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.endpoint.tool_calls import CallProblem
from orchestrator.report.words import share_of
from orchestrator.types import RolloutRecord

WARN_FROM_SHARE = 0.05
WARN_FROM_COUNT = 3
"""More than such a share, and at least so many, are worth a warning: any model slips at times."""
SHOWN = 5
"""Of what was wrong most often."""


@dataclass(frozen=True)
class RolloutCalls:
    """The calls of one attempt."""

    instance_id: str
    attempt: int
    calls: int
    problems: Mapping[str, int]
    """By `CallProblem`."""

    @property
    def broken(self) -> int:
        return sum(self.problems.values())


@dataclass(frozen=True)
class ToolCalls:
    """A run's calls of functions; its fields are keys of report.json. They count as in
    `CallCounts`, over all attempts."""

    calls: int
    broken: int
    """Calls that do not fit what was offered, or never came."""
    problems: Mapping[str, int]
    """Those by `CallProblem`, the most first."""
    details: Mapping[str, int]
    """What was wrong most often, in words."""
    rollouts_with_trouble: int
    """Attempts with a broken call."""
    rollouts: tuple[RolloutCalls, ...]
    """Attempts in which a model was asked for calls."""

    @property
    def by_result(self) -> tuple[tuple[str, int], ...]:
        """How the calls came out, for a table: those that are well formed, then what was wrong."""
        return (("well formed", self.calls - self.broken), *self.problems.items())


def build_tool_calls(rollouts: Sequence[RolloutRecord]) -> ToolCalls | None:
    """None where no function was offered, or nobody counted: an old journal."""
    rows = [
        RolloutCalls(row.instance_id, row.key.attempt, row.calls.calls, dict(row.calls.problems))
        for row in rollouts
        if row.calls is not None
    ]
    if not rows:
        return None
    problems, details = Counter[str](), Counter[str]()
    for row in rollouts:
        if row.calls is not None:
            problems.update(row.calls.problems)
            details.update(row.calls.details)
    return ToolCalls(
        calls=sum(row.calls for row in rows),
        broken=problems.total(),
        problems=dict(problems.most_common()),
        details=dict(details.most_common(SHOWN)),
        rollouts_with_trouble=sum(row.broken > 0 for row in rows),
        rollouts=tuple(rows),
    )


def call_warnings(
    calls: ToolCalls | None, unusable_answers: int, steps: int, model: str | None
) -> Iterator[str]:
    """One line where a model does not speak as its agent needs it, with what can be done."""
    diagnose = f"`python -m orchestrator diagnose --model {shlex.quote(model or 'NAME')}`"
    if calls is not None and deserves_warning(calls.broken, calls.calls):
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in calls.problems.items())
        most = "".join(f"; most often: {words} ({n:,} x)" for words, n in _first(calls.details))
        ways = [
            f"{diagnose} finds out whose doing it is",
            "an agent that works in text (`--agent sweagent`) needs no tool calls",
        ]
        if 2 * calls.problems.get(CallProblem.CUT_OFF, 0) >= calls.broken:
            ways.insert(0, "a higher model.sampling.max_tokens, or less thinking")
        yield (
            f"{share_of(calls.broken, calls.calls)} tool calls were broken: {kinds}{most}. "
            f"What can be done: {'; '.join(ways)}."
        )
    elif deserves_warning(unusable_answers, steps):
        yield (
            f"{share_of(unusable_answers, steps)} answers held no action that the agent could use. "
            f"What can be done: {diagnose} finds out whose doing it is, and which agent suits the "
            "model."
        )


def _first(details: Mapping[str, int]) -> list[tuple[str, int]]:
    return list(details.items())[:1]


def deserves_warning(count: int, whole: int) -> bool:
    return count >= WARN_FROM_COUNT and count > WARN_FROM_SHARE * whole
