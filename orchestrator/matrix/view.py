"""The report of a matrix on the terminal: the table, models down and agents across."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.display.summary import as_typed, print_steps
from orchestrator.display.terminal import print_line
from orchestrator.errors import EXIT_DONE
from orchestrator.matrix.attempts import (
    count_rows,
    estimate_rows,
    flip_line,
    repeated_cells,
)
from orchestrator.matrix.cells import Cell
from orchestrator.matrix.markdown import (
    FEW_INSTANCES,
    NO_MODEL,
    are_few,
    headline,
    left_out_lines,
    pair_row,
)
from orchestrator.matrix.report import MatrixReport
from orchestrator.matrix.words import CellWords, blame_lines
from orchestrator.paths import MatrixPaths
from orchestrator.report.names import STYLES, what_ran
from orchestrator.report.next_steps import NextStep, command_step
from orchestrator.report.words import counted
from orchestrator.text import printable

PAIRS_SHOWN = 12
CELLS_SHOWN = 4
"""Of those with several attempts."""


def render_matrix_report(report: MatrixReport) -> RenderableType:
    """The table of each benchmark and whose calls are broken in it, then the pairs."""
    parts: list[RenderableType] = []
    for benchmark in report.benchmarks:
        parts.append(_table(report, benchmark))
        lines = blame_lines(report.cells_of(benchmark))
        parts += [Text(printable(line), style="yellow") for line in lines]
    return Group(*parts, *_attempts(report), *_pairs(report))


def _table(report: MatrixReport, benchmark: str) -> Table:
    instances = max(cell.instances for cell in report.cells_of(benchmark))
    attempts = f", {report.attempts} attempts each" if report.attempts > 1 else ""
    title = f"{report.matrix_id}: {benchmark}, {counted(instances, 'instance')}{attempts}"
    table = Table(title=Text(title), title_justify="left", box=box.ROUNDED, show_lines=True)
    table.add_column("")
    models, agents = report.axes(benchmark)
    for agent in agents:
        table.add_column(Text(printable(agent)))
    for model in models:
        words = [report.words.get(Cell(benchmark, model, agent)) for agent in agents]
        name = Text(printable(model or NO_MODEL), style="bold")
        table.add_row(name, *(_cell(each) if each else "" for each in words))
    return table


def _cell(words: CellWords) -> Text:
    """The mark in its colour; what is a warning in yellow."""
    text = Text()
    if words.mark is not None:
        text.append(f"{words.mark} ", style=STYLES[words.mark])
    first, *more = words.lines
    text.append(printable(first), style="yellow" if words.is_warning and words.mark else "")
    for line in more:
        text.append(f"\n{printable(line)}", style="yellow" if words.is_warning else "dim")
    return text


def _attempts(report: MatrixReport) -> Iterator[RenderableType]:
    for cell, statistics in repeated_cells(report.cells)[:CELLS_SHOWN]:
        table = Table(
            title=Text(printable(what_ran(cell.benchmark, cell.agent, cell.model))),
            title_justify="left",
            show_header=False,
            box=box.SIMPLE,
        )
        for row in estimate_rows(statistics):
            table.add_row(*row)
        table.add_section()
        for row in count_rows(statistics):
            table.add_row(*row)
        yield table
        yield Text(flip_line(statistics))


def _pairs(report: MatrixReport) -> Iterator[RenderableType]:
    pairs = sorted(report.pairs.compared, key=lambda pair: (pair.p_holm or 1.0, pair.p or 1.0))
    if are_few(pairs):
        yield Text(FEW_INSTANCES, style="dim")
    elif pairs:
        titles = ("", "for", "n", "left out", "better/worse", "difference", "95 %", "p", "Holm")
        table = Table(*titles, title="neighbours", title_justify="left", box=box.SIMPLE)
        for pair in pairs[:PAIRS_SHOWN]:
            table.add_row(*map(Text, pair_row(pair, report)))
        yield table
        if len(pairs) > PAIRS_SHOWN:
            yield Text(f"and {len(pairs) - PAIRS_SHOWN} more pairs in matrix.md", style="dim")
    for line in left_out_lines(report):
        yield Text(line, style="yellow")


def summarize_matrix(
    report: MatrixReport, paths: MatrixPaths, exit_code: int, console: Console
) -> None:
    """How it stands, the table, and what comes next."""
    print_line(console, f"{report.matrix_id}: {headline(report)}", "bold")
    console.print(render_matrix_report(report))
    root = as_typed(paths.root)
    near, steps = MatrixPaths(root), []
    if exit_code != EXIT_DONE:
        steps.append(command_step("go on", f"resume {shlex.quote(str(root))}"))
    steps.append(NextStep("read", str(near.report_md), is_command=True))
    steps.append(NextStep("look at", str(near.grid), is_command=True))
    print_steps(steps, console)
