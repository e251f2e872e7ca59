"""What came of each instance in each run, and of each cell. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import one_line
from orchestrator.journal import RunState
from orchestrator.matrix.cells import Cell
from orchestrator.report.attempts import AttemptStatistics, attempt_statistics
from orchestrator.report.build import Report
from orchestrator.report.names import Mark, named
from orchestrator.report.stats import clustered_wilson
from orchestrator.types import CallCounts, Outcome

NOT_STARTED = "not started"


@dataclass(frozen=True)
class InstanceResult:
    """What came of one instance in one run."""

    resolved: bool | None = None
    """By the harness, or by a patch that is empty; None: there is no verdict."""
    outcome: Outcome | None = None
    salvaged: bool = False
    steps: int = 0
    calls: CallCounts | None = None
    """Of functions. None where none were offered, or nobody counted."""
    unusable_answers: int = 0
    why: str = ""
    """Why there is no verdict."""

    @property
    def mark(self) -> Mark:
        if self.resolved is None:
            return Mark.NOT_STARTED if self.why == NOT_STARTED else Mark.NO_VERDICT
        return Mark.RESOLVED if self.resolved else Mark.UNRESOLVED


@dataclass(frozen=True)
class RunResult:
    """A run of a matrix as it stands: `report` and `state` are None where it never started."""

    run_id: str
    cell: Cell
    attempt: int
    report: Report | None = None
    state: RunState | None = None
    problem: str = ""
    """Why it did not start, or can't be read."""

    @property
    def instances(self) -> Mapping[str, InstanceResult]:
        """By instance, in the run's order; none of a run that never started."""
        if self.report is None or self.state is None:
            return {}
        resolved, unresolved = set(self.report.resolved_ids), set(self.report.unresolved_ids)
        return {
            instance_id: instance_result(
                self.state, instance_id, (instance_id in resolved) if known else None
            )
            for instance_id in self.state.instances
            for known in [instance_id in resolved or instance_id in unresolved]
        }


def instance_result(state: RunState, instance_id: str, resolved: bool | None) -> InstanceResult:
    rollout = state.outcomes.get(instance_id)
    why = "" if resolved is not None else _why_no_verdict(state, instance_id)
    if rollout is None:
        return InstanceResult(resolved, why=why)
    return InstanceResult(
        resolved,
        rollout.outcome,
        rollout.salvaged,
        rollout.usage.steps,
        rollout.calls,
        rollout.unusable_answers,
        why,
    )


def _why_no_verdict(state: RunState, instance_id: str) -> str:
    if instance_id in state.decided:
        return "decided by a person"
    if (failure := state.failures.get(instance_id)) is not None:
        return named(failure.kind)
    return "not graded" if instance_id in state.outcomes else NOT_STARTED


@dataclass(frozen=True)
class CellResult:
    """A cell over all its attempts; its fields are keys of matrix.json.

    `rate` is the mean over attempts of resolved / instances: what has no verdict stays in the
    denominator, and then the rate is not valid.
    """

    benchmark: str
    model: str | None
    agent: str
    run_ids: tuple[str, ...]
    attempts: int
    instances: int
    """Of one attempt; 0 where none has started."""
    resolved: int
    """Over all attempts, as is what follows."""
    rate: float
    ci95: tuple[float, float]
    """Wilson's; of several attempts, with the instances as clusters (`stats.clustered_wilson`)."""
    valid: bool
    why_not_valid: str
    quarantined: str
    """Why its number is suspect though every instance has a verdict, of the first attempt that is
    so (`report.validity`); else empty."""
    outcomes: Mapping[str, int]
    salvaged: int
    calls: int | None
    """Of functions, over all rollouts. None where none were offered, or nobody counted."""
    broken_calls: int
    call_problems: Mapping[str, int]
    answers: int
    """Steps of all rollouts."""
    unusable_answers: int
    """Steps whose answer held no action that could be used."""
    median_steps: float | None
    """Of the rollouts that count."""
    tokens: int
    rollout_hours: float
    """Of its rollouts, added up, retries too; those of one session went on side by side."""
    repeated: AttemptStatistics | None
    """What its attempts say together; None of one attempt, or without verdicts in all of them."""

    @property
    def cell(self) -> Cell:
        return Cell(self.benchmark, self.model, self.agent)

    @property
    def trouble(self) -> tuple[int, int, str]:
        """What of its answers was broken, of how many, and what they are called: calls where the
        agent offers functions, else answers."""
        if self.calls is not None:
            return self.broken_calls, self.calls, "calls broken"
        return self.unusable_answers, self.answers, "answers unusable"


def build_cells(runs: Sequence[RunResult]) -> tuple[CellResult, ...]:
    """Of all runs of a matrix, in their order."""
    cells = dict.fromkeys(run.cell for run in runs)
    return tuple(_build(cell, [run for run in runs if run.cell == cell]) for cell in cells)


def shares(runs: Sequence[RunResult]) -> dict[str, float]:
    """The resolved share of the attempts, by instance. What has no verdict counts as unresolved:
    for rates that are valid, or are told to be none."""
    found: dict[str, list[bool]] = {}
    for run in runs:
        for instance_id, result in run.instances.items():
            found.setdefault(instance_id, []).append(bool(result.resolved))
    return {instance_id: sum(each) / len(runs) for instance_id, each in found.items()}


def _build(cell: Cell, runs: Sequence[RunResult]) -> CellResult:
    results = [result for run in runs for result in run.instances.values()]
    rates = shares(runs)
    reports = [run.report for run in runs if run.report is not None]
    rollouts = [row for run in runs if run.state is not None for row in run.state.rollouts]
    counted = [report.tool_calls for report in reports if report.tool_calls is not None]
    problems = Counter[str]()
    for calls in counted:
        problems.update(calls.problems)
    steps = [result.steps for result in results if result.outcome is not None]
    why_not = _why_not_valid(runs)
    return CellResult(
        **cell._asdict(),
        run_ids=tuple(run.run_id for run in runs),
        attempts=len(runs),
        instances=len(rates),
        resolved=sum(bool(result.resolved) for result in results),
        rate=statistics.fmean(rates.values()) if rates else 0.0,
        ci95=clustered_wilson(list(rates.values()), len(runs)),
        valid=not why_not,
        why_not_valid=why_not,
        quarantined=_quarantined(reports),
        outcomes=dict(sorted(Counter(str(r.outcome) for r in results if r.outcome).items())),
        salvaged=sum(result.salvaged for result in results),
        calls=sum(calls.calls for calls in counted) if counted else None,
        broken_calls=sum(calls.broken for calls in counted),
        call_problems=dict(problems.most_common()),
        answers=sum(report.steps for report in reports),
        unusable_answers=sum(report.unusable_answers for report in reports),
        median_steps=statistics.median(steps) if steps else None,
        tokens=sum(report.tokens["total"] for report in reports),
        rollout_hours=round(sum(row.ended_at - row.started_at for row in rollouts) / 3600, 3),
        repeated=_repeated(runs),
    )


def _repeated(runs: Sequence[RunResult]) -> AttemptStatistics | None:
    known = verdicts(runs)
    every = {instance_id for run in runs for instance_id in run.instances}
    return attempt_statistics(known, left_out=len(every) - len(known))


def verdicts(runs: Sequence[RunResult]) -> dict[str, list[bool]]:
    """Attempt by attempt, of each instance on which all attempts have a verdict."""
    found: dict[str, list[bool | None]] = {}
    for run in runs:
        for instance_id, result in run.instances.items():
            found.setdefault(instance_id, []).append(result.resolved)
    return {
        instance_id: [bool(one) for one in each]
        for instance_id, each in found.items()
        if None not in each and len(each) == len(runs)
    }


def _why_not_valid(runs: Iterable[RunResult]) -> str:
    """Empty where every instance of every attempt has a verdict, or a person's decision."""
    reasons = Counter[str]()
    parts = []
    for run in runs:
        if run.report is None:
            parts.append(one_line(run.problem) or NOT_STARTED)
        else:
            reasons.update(run.report.failures)
    if reasons:
        words = ", ".join(f"{count} x {named(reason)}" for reason, count in reasons.most_common())
        parts.insert(0, f"{sum(reasons.values())} without a verdict: {words}")
    return "; ".join(dict.fromkeys(parts))


def _quarantined(reports: Iterable[Report]) -> str:
    suspect = (r.validity.words for r in reports if r.valid and r.validity.is_quarantined)
    return next(suspect, "")


def wall_s(runs: Iterable[RunResult]) -> float:
    """Seconds in which a session of any of the runs went on."""
    spans = sorted(
        (session.started_at, session.started_at + session.seconds)
        for run in runs
        if run.state is not None
        for session in run.state.sessions
    )
    total, until = 0.0, 0.0
    for start, end in spans:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
