"""What came of an instance or a cell, in the few words that a table has room for. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.matrix.results import CellResult, InstanceResult
from orchestrator.report.names import OUTCOME_WORDS, Mark
from orchestrator.report.tool_calls import deserves_warning
from orchestrator.report.words import counted
from orchestrator.types import Outcome

WARNING = "⚠"


@dataclass(frozen=True)
class CellWords:
    """A cell of the table: a mark where there is one instance, and a line or two."""

    lines: tuple[str, ...]
    mark: Mark | None = None
    is_warning: bool = False

    def __str__(self) -> str:
        return " ".join(filter(None, [str(self.mark or ""), ", ".join(self.lines)]))


def of_instance(result: InstanceResult) -> CellWords:
    """`✓ 9 steps`; `✗ 41 of 52 calls broken, out of steps`; `✓ ⚠ salvaged: never submitted`."""
    if result.outcome is None or result.resolved is None:
        return CellWords((result.why,), result.mark, True)
    trouble = _trouble(result)
    if result.outcome is Outcome.SUBMITTED:
        parts = [counted(result.steps, "step"), *trouble]
    elif result.resolved:
        parts = [f"{WARNING} salvaged: never submitted", *trouble]
    else:
        is_said = trouble and result.outcome is Outcome.FORMAT_ERRORS
        parts = trouble if is_said else [*trouble, OUTCOME_WORDS[result.outcome]]
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
    if cell.quarantined:
        warnings.append(cell.quarantined)
    if cell.salvaged:
        warnings.append(f"{cell.salvaged} salvaged")
    broken, all_of_them, what = cell.trouble
    if deserves_warning(broken, all_of_them):
        warnings.append(f"{broken / all_of_them:.0%} of {what}")
    lines += [f"{WARNING} {warning}" for warning in warnings]
    return CellWords(tuple(lines), is_warning=bool(warnings))


def blame_lines(cells: Sequence[CellResult]) -> Iterator[str]:
    """Of each cell of a benchmark whose calls or answers are broken, and whose model resolves more
    by an agent with which they are well: how both went, and what finds out whose doing it is."""
    for cell in cells:
        well = [
            other
            for other in cells
            if other.model == cell.model
            and other.valid
            and other.rate > cell.rate
            and not deserves_warning(*other.trouble[:2])
        ]
        broken, all_of_them, what = cell.trouble
        is_told = cell.valid and well and deserves_warning(broken, all_of_them)
        if cell.model is None or not is_told:
            continue
        best = max(well, key=lambda other: other.rate)
        yield (
            f"{cell.model} by {cell.agent}: {broken} of {all_of_them} {what}, {_resolved(cell)}; "
            f"by {best.agent}: {_resolved(best)}. `python -m orchestrator diagnose "
            f"--model {shlex.quote(cell.model)}` finds out whether the model, its server or the "
            "framework is to blame."
        )


def _resolved(cell: CellResult) -> str:
    return f"{cell.resolved}/{cell.instances * cell.attempts} resolved"
