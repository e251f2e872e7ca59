"""The table of instances: how each came out, in words and in numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from orchestrator.evidence.facts import Finding
from orchestrator.journal.views import RunState
from orchestrator.report.build import Report
from orchestrator.report.model_usage import RolloutCost, rollout_costs
from orchestrator.report.names import (
    CAUSE_WORDS,
    FAILURE_WORDS,
    NO_PREDICTION,
    NOT_GRADED,
    NOT_STARTED,
    OUTCOME_WORDS,
    Mark,
)
from orchestrator.report.words import compact, most_first
from orchestrator.text import writable
from orchestrator.types import RolloutRecord


class InstanceVerdict(StrEnum):
    """How an instance came out, as the table says it."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    NO_VERDICT = "no verdict"
    """It failed, or is not graded."""
    NOT_STARTED = "not started"
    DECIDED = "decided"
    """A person counts it as unresolved; no harness has said so."""

    @property
    def mark(self) -> Mark:
        return _MARKS[self]

    @property
    def css_class(self) -> str:
        return self.value.replace(" ", "-")


_MARKS = {
    InstanceVerdict.RESOLVED: Mark.RESOLVED,
    InstanceVerdict.UNRESOLVED: Mark.UNRESOLVED,
    InstanceVerdict.NO_VERDICT: Mark.NO_VERDICT,
    InstanceVerdict.NOT_STARTED: Mark.NOT_STARTED,
    InstanceVerdict.DECIDED: Mark.NO_VERDICT,
}


@dataclass(frozen=True)
class InstanceRow:
    """One instance in the table. The numbers are those of its last rollout."""

    instance_id: str
    repo: str
    verdict: InstanceVerdict
    why: str
    """The cause, or what failed, in a few words; empty where it was resolved."""
    because: str
    """The evidence for it in one line."""
    outcome: str
    """How the rollout that counts ended, in words; empty where none counts."""
    steps: int | None
    tokens: int | None
    minutes: float | None
    """Of the clock; None where there was no rollout, or it took none."""
    attempts: int
    spoofed: str
    """Why its test output is not to be believed; empty where nothing was found."""

    @property
    def key(self) -> str:
        """Its name for attributes and addresses."""
        return key_of(self.instance_id)

    @property
    def link(self) -> str:
        """What follows the page's address where it is open."""
        return f"#/{self.key}"

    @property
    def numbers(self) -> tuple[tuple[float, str, str], ...]:
        """What they are sorted by, how they read, and of what they are."""
        return (
            (*_number(self.steps, str), "steps"),
            (*_number(self.tokens, compact), "tokens"),
            (*_number(self.minutes, "{:,.1f}".format), "min"),
        )


@dataclass(frozen=True)
class Filter:
    """One way to narrow the table: a column, and the values that stand in it."""

    column: int
    name: str
    values: tuple[tuple[str, int], ...]
    """Each with the number of its instances, in order."""


@dataclass(frozen=True)
class InstanceTable:
    rows: tuple[InstanceRow, ...]
    """In the run's order."""

    @property
    def filters(self) -> tuple[Filter, ...]:
        """Those that have something to choose from. Their columns are those of the template."""
        columns = (
            (1, "Verdict", [row.verdict.value for row in self.rows]),
            (2, "Why", [row.why for row in self.rows]),
            (3, "Ended", [row.outcome for row in self.rows]),
            (4, "Repository", [row.repo for row in self.rows]),
        )
        made = (Filter(column, name, _counted(values)) for column, name, values in columns)
        return tuple(filter_ for filter_ in made if len(filter_.values) > 1)


def key_of(instance_id: str) -> str:
    """Its name in ASCII, as a part of an address has it: whole, whatever it holds."""
    return quote(writable(instance_id), safe="")


def instance_table(
    report: Report, state: RunState, findings: Mapping[str, Finding]
) -> InstanceTable:
    """The table of a run. `findings` may lack instances, where nobody looked at their files."""
    costs = {(cost.instance_id, cost.attempt): cost for cost in rollout_costs(state)}
    maker = _RowMaker(report, state, findings, costs)
    return InstanceTable(tuple(maker.row(i) for i in state.instances))


class _RowMaker:
    """What is asked for each instance, looked up once."""

    def __init__(
        self,
        report: Report,
        state: RunState,
        findings: Mapping[str, Finding],
        costs: Mapping[tuple[str, int], RolloutCost],
    ) -> None:
        self._state, self._findings, self._costs = state, findings, costs
        self._resolved = frozenset(report.resolved_ids)
        self._unresolved = frozenset(report.unresolved_ids)
        self._last = {row.instance_id: row for row in state.rollouts} | dict(state.outcomes)
        self._not_started = NO_PREDICTION if NO_PREDICTION in report.failures else NOT_STARTED

    def row(self, instance_id: str) -> InstanceRow:
        last = self._last.get(instance_id)
        outcome = self._state.outcomes.get(instance_id)
        finding = self._findings.get(instance_id, Finding(instance_id))
        verdict = self._verdict(instance_id)
        why, because = self._why(instance_id, verdict, finding)
        return InstanceRow(
            instance_id=instance_id,
            repo=self._state.instances[instance_id],
            verdict=verdict,
            why=why,
            because=because,
            outcome=OUTCOME_WORDS[str(outcome.outcome)] if outcome is not None else "",
            steps=last.usage.steps if last is not None else None,
            tokens=self._tokens(last),
            minutes=_minutes(last),
            attempts=self._state.attempts.get(instance_id, 0),
            spoofed=finding.spoofed,
        )

    def _verdict(self, instance_id: str) -> InstanceVerdict:
        if instance_id in self._resolved:
            return InstanceVerdict.RESOLVED
        if instance_id in self._unresolved:
            return InstanceVerdict.UNRESOLVED
        if instance_id in self._state.decided:
            return InstanceVerdict.DECIDED
        return (
            InstanceVerdict.NO_VERDICT if instance_id in self._last else InstanceVerdict.NOT_STARTED
        )

    def _why(self, instance_id: str, verdict: InstanceVerdict, finding: Finding) -> tuple[str, str]:
        failure = self._state.failures.get(instance_id)
        if verdict is InstanceVerdict.DECIDED:
            decision = self._state.decided[instance_id]
            return "a person's decision", f"{decision.by}: {decision.because}"
        if verdict is InstanceVerdict.NOT_STARTED:
            return FAILURE_WORDS[self._not_started], ""
        if verdict is InstanceVerdict.NO_VERDICT:
            if failure is None:
                return FAILURE_WORDS[NOT_GRADED], ""
            return FAILURE_WORDS[str(failure.kind)], failure.detail
        return (CAUSE_WORDS[finding.cause] if finding.cause else "", finding.because)

    def _tokens(self, last: RolloutRecord | None) -> int | None:
        if last is None:
            return None
        cost = self._costs.get((last.instance_id, last.key.attempt))
        return cost.tokens if cost is not None else None


def _number(value: float | None, words: Callable[[Any], str]) -> tuple[float, str]:
    """What is not known is below all that is."""
    return (-1, "–") if value is None else (value, words(value))


def _minutes(last: RolloutRecord | None) -> float | None:
    if last is None or last.ended_at <= last.started_at:
        return None
    return round((last.ended_at - last.started_at) / 60, 2)


def _counted(values: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple(most_first(Counter(filter(None, values))).items())
