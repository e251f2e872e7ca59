"""What came of an instance or a cell, in the few words that a table has room for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.matrix.results import CellResult, InstanceResult, Mark
from orchestrator.report.tool_calls import WARN_FROM_SHARE
from orchestrator.report.words import counted
from orchestrator.types import Outcome

WARNING = "⚠"
ENDED = {
    Outcome.SUBMITTED: "submitted",
    Outcome.STEP_LIMIT: "never done",
    Outcome.TOKEN_LIMIT: "out of tokens",
    Outcome.TIME_LIMIT: "out of time",
    Outcome.CONTEXT_OVERFLOW: "its context was full",
    Outcome.FORMAT_ERRORS: "never done",
    Outcome.GAVE_UP: "gave up",
}


@dataclass(frozen=True)
class CellWords:
    """A cell of the table: a mark where there is one instance, and a line or two."""

    lines: tuple[str, ...]
    mark: Mark | None = None
    is_warning: bool = False

    def __str__(self) -> str:
        return " ".join(filter(None, [str(self.mark or ""), ", ".join(self.lines)]))


def of_instance(result: InstanceResult) -> CellWords:
    """`✓ 9 steps`; `✗ 41 of 52 calls broken, never done`; `✓ ⚠ salvaged: never submitted`."""
    if result.outcome is None or result.resolved is None:
        return CellWords((result.why,), result.mark, True)
    trouble = _trouble(result)
    if result.outcome is Outcome.SUBMITTED:
        parts = [counted(result.steps, "step"), *trouble]
    elif result.resolved:
        parts = [f"{WARNING} salvaged: never submitted", *trouble]
    else:
        parts = [*trouble, ENDED[result.outcome]]
    is_warning = bool(trouble) or result.outcome is not Outcome.SUBMITTED
    return CellWords((", ".join(parts),), result.mark, is_warning)


def _trouble(result: InstanceResult) -> list[str]:
    calls = result.calls
    if calls is not None and calls.broken:
        return [f"{calls.broken} of {counted(calls.calls, 'call')} broken"]
    if calls is None and result.unusable_answers:
        return [f"{result.unusable_answers} of {counted(result.steps, 'answer')} unusable"]
    return []


def of_cell(cell: CellResult, results: Sequence[InstanceResult]) -> CellWords:
    """One instance in its own words, more of them as a rate; `results` are of all attempts."""
    if len(results) == cell.attempts == 1:
        return of_instance(results[0])
    if cell.instances == 0:
        return CellWords((cell.why_not_valid,), Mark.NOT_STARTED, True)
    low, high = cell.ci95
    of = cell.instances * cell.attempts
    lines = [f"{cell.rate:.0%} ({low:.0%} to {high:.0%})", f"{cell.resolved}/{of} resolved"]
    warnings = []
    if not cell.valid:
        warnings.append(cell.why_not_valid)
    if cell.salvaged:
        warnings.append(f"{cell.salvaged} salvaged")
    broken, all_of_them, what = cell.trouble
    if all_of_them and broken / all_of_them > WARN_FROM_SHARE:
        warnings.append(f"{broken / all_of_them:.0%} of {what}")
    lines += [f"{WARNING} {warning}" for warning in warnings]
    return CellWords(tuple(lines), is_warning=bool(warnings))
