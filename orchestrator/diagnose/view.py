"""What `diagnose` prints: a line a cell, then the table with bars, and what follows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.config.schema import Model
from orchestrator.diagnose.levels import AskingPlan, CallLevel, LevelCell, State
from orchestrator.diagnose.protocols import FORM_OF
from orchestrator.diagnose.report import DiagnosisReport
from orchestrator.diagnose.tasks import SMALL_TOOLS
from orchestrator.report.bars import bar
from orchestrator.report.words import counted, duration

BAR_WIDTH = 20
STYLES = {State.WORKS: "green", State.FAILS: "red", State.BROKEN: "red", State.REFUSED: "red"}


def opening(model: Model, plan: AskingPlan) -> str:
    """Said before the first question."""
    sizes = plan.sizes
    return (
        f"{model.name} at {model.endpoint.base_url}, a context of {sizes.context:,} tokens\n"
        f"about {plan.answers} answers at three levels in {_forms(plan)}, for "
        f"{duration(plan.seconds)} at most\n"
        f"as these agents ask: {_agents(plan)}"
        + (f"\nthe context is small: {sizes.shortened}" if sizes.shortened else "")
    )


def _forms(plan: AskingPlan) -> str:
    return f"{len(plan.forms)} protocols" if len(plan.forms) > 1 else plan.forms[0].label


def _agents(plan: AskingPlan) -> str:
    """Whose protocol each of the table's is."""
    return ", ".join(f"{form.profile} ({form.label})" for form in plan.forms)


def title(level: CallLevel, plan: AskingPlan) -> str:
    sizes = plan.sizes
    prompt = ", a long system prompt" if sizes.handbook_chars else ""
    return {
        CallLevel.ONE: f"1  one call, {SMALL_TOOLS} tools",
        CallLevel.FULL: f"2  one call, {sizes.tools} tools" + prompt,
        CallLevel.LOOP: f"3  loops of {sizes.turns} turns, alone",
        CallLevel.CROWD: f"3  loops of {sizes.turns} turns, {plan.at_once} at once",
    }[level]


def live_line(cell: LevelCell) -> str:
    bad = len(cell.answers) - cell.valid
    return (
        f"level {min(cell.level, CallLevel.LOOP)}, {FORM_OF[cell.protocol].label}, {cell.at_once} "
        f"at once: {counted(len(cell.answers), 'answer')}"
        + (f", {bad} of them not valid" if bad else "")
    )


def cell_line(cell: LevelCell) -> str:
    """One cell in one line, when it is done."""
    head = f"level {min(cell.level, CallLevel.LOOP)}, {cell.at_once} at once, "
    return f"{head}{FORM_OF[cell.protocol].label}: {_rate(cell)} {_words(cell)}".rstrip()


def render(report: DiagnosisReport) -> RenderableType:
    parts: list[RenderableType] = [Text("\nvalid calls, of the answers that came whole\n")]
    parts += [
        _level(title(level, report.plan), cells)
        for level in CallLevel
        if (cells := [cell for cell in report.cells if cell.level is level])
    ]
    parts.append(
        Text(
            "Refusals, outages and answers that end at the limit of tokens count in no rate. "
            "A rate under 90 % is bad where chance explains it in one of a hundred cases at most."
        )
    )
    if report.is_interrupted:
        parts.append(Text("Interrupted: only what was asked so far.", style="yellow"))
    verdict = report.verdict
    parts.append(Text(f"\n{verdict.headline}", style="bold"))
    if verdict.agent and not report.examples and not verdict.remarks:
        parts.append(Text("Nothing went wrong in any answer."))
    for cause in verdict.causes:
        labels = ", ".join(FORM_OF[protocol].label for protocol in cause.protocols)
        parts.append(Text(f"\n{cause.blame.capitalize()} ({labels}): {cause.words}."))
        parts.append(Text(f"To mend it: {cause.cure}."))
    if verdict.remarks:
        parts.append(Text(""))
    parts += [Text(f"note: {remark}.", style="yellow") for remark in verdict.remarks]
    if report.examples:
        parts.append(Text(f"\nAn example of each failure is in {report.folder}"))
    return Group(*parts)


def _level(name: str, cells: Sequence[LevelCell]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column()
    for cell in cells:
        drawn = bar(cell.valid, cell.judged, BAR_WIDTH) if cell.judged else " " * BAR_WIDTH
        style = STYLES.get(cell.state, "yellow")
        label = f"   {FORM_OF[cell.protocol].label}"
        table.add_row(Text(label), Text(drawn, style), Text(_rate(cell)), Text(_words(cell)))
    return Group(Text(name, style="bold"), table, Text(""))


def _rate(cell: LevelCell) -> str:
    return f"{cell.valid}/{cell.judged}" if cell.judged else "-"


def _words(cell: LevelCell) -> str:
    failures = ", ".join(f"{count} {kind}" for kind, count in cell.failures)
    return "; ".join(part for part in (failures, cell.skipped) if part)
