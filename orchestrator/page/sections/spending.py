"""Where steps, tokens and hours went: by what came of them, and by what took the time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.page.sections.subject import Subject
from orchestrator.page.sections.table import Table
from orchestrator.report.model_usage import rollout_costs
from orchestrator.report.words import compact, duration
from orchestrator.types import ModelRequest, RolloutKey, RolloutRecord


class CameTo(StrEnum):
    """What came of an attempt."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    NOTHING = "no verdict"
    """It failed, or its patch has no verdict."""


class TimePart(StrEnum):
    """What an attempt spends its time on."""

    MODEL = "model"
    TOOLS = "tools"
    WAITING = "waiting"
    SANDBOX = "sandbox"
    GRADING = "grading"


SANDBOX_PHASES = ("image", "sandbox", "harvest", "remove")


@dataclass(frozen=True)
class Spent:
    """What all attempts took that came to the same."""

    came_to: CameTo
    attempts: int
    steps: int
    tokens: int
    seconds: Mapping[TimePart, float]

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Spending:
    rows: tuple[Spent, ...]
    """In the order of `CameTo`, without those that there are none of."""

    @property
    def total_s(self) -> float:
        return sum(row.total_s for row in self.rows)

    def seconds(self, part: TimePart) -> float:
        return sum(row.seconds[part] for row in self.rows)

    @property
    def parts(self) -> tuple[TimePart, ...]:
        """Those that took any time."""
        return tuple(part for part in TimePart if self.seconds(part) > 0)

    @property
    def label(self) -> str:
        parts = (f"{part} {self.seconds(part) / self.total_s:.0%}" for part in self.parts)
        return f"{duration(self.total_s)} of rollouts and grades: {', '.join(parts)}"

    @property
    def share_label(self) -> str:
        return "Shares of steps, tokens and hours. " + "; ".join(
            f"{row.came_to}: {row.steps:,} steps, {compact(row.tokens)} tokens, "
            f"{duration(row.total_s)}"
            for row in self.rows
        )

    @property
    def table(self) -> Table:
        titles = ("came to", "attempts", "steps", "tokens", *self.parts, "all time")
        rows = [
            (
                row.came_to,
                f"{row.attempts:,}",
                f"{row.steps:,}",
                compact(row.tokens),
                *(duration(row.seconds[part]) for part in self.parts),
                duration(row.total_s),
            )
            for row in self.rows
        ]
        return Table.of("What attempts took, by what came of them", titles, rows)


def build_spending(subject: Subject) -> Spending | None:
    """None where nothing took any time."""
    state = subject.state
    grading: dict[RolloutKey, float] = defaultdict(float)
    for grade in state.grades:
        grading[grade.key] += sum(grade.phases_s.values())
    tokens = {
        RolloutKey(state.run_id, cost.instance_id, cost.attempt): cost.tokens
        for cost in rollout_costs(state)
    }
    by_end: dict[CameTo, list[RolloutRecord]] = {came_to: [] for came_to in CameTo}
    for row in state.rollouts:
        by_end[_came_to(subject, row)].append(row)
    rows = tuple(
        Spent(
            came_to,
            len(ended),
            sum(row.usage.steps for row in ended),
            sum(tokens.get(row.key, 0) for row in ended),
            _seconds(ended, state.requests_of, grading),
        )
        for came_to, ended in by_end.items()
        if ended
    )
    spending = Spending(rows)
    return spending if spending.total_s > 0 else None


def _came_to(subject: Subject, row: RolloutRecord) -> CameTo:
    if row.failure is not None or row.instance_id in subject.report.failure_ids:
        return CameTo.NOTHING
    verdict = subject.state.verdicts.get(row.instance_id)
    return CameTo.RESOLVED if verdict is not None and verdict.resolved else CameTo.UNRESOLVED


def _seconds(
    rollouts: Sequence[RolloutRecord],
    asked: Mapping[RolloutKey, Sequence[ModelRequest]],
    grading: Mapping[RolloutKey, float],
) -> dict[TimePart, float]:
    seconds = dict.fromkeys(TimePart, 0.0)
    for row in rollouts:
        for part, took in _seconds_of(row, asked.get(row.key, ())):
            seconds[part] += took
        seconds[TimePart.GRADING] += grading.get(row.key, 0.0)
    return seconds


def _seconds_of(
    row: RolloutRecord, requests: Sequence[ModelRequest]
) -> Iterator[tuple[TimePart, float]]:
    """Of one attempt. What its requests took, the gateway knows best; older runs have the agent's
    own account."""
    if requests:
        waited = sum(request.held_s + request.queue_s for request in requests)
        model = sum(request.served_s for request in requests)
    else:
        waited = row.usage.held_s
        model = max(0.0, row.usage.model_s - waited)
    yield TimePart.MODEL, model
    yield TimePart.WAITING, waited
    yield TimePart.TOOLS, max(0.0, row.phases_s.get("agent", 0.0) - model - waited)
    yield TimePart.SANDBOX, sum(row.phases_s.get(phase, 0.0) for phase in SANDBOX_PHASES)
