"""matrix.md: the report for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.matrix.attempts import attempts_section, estimate_words
from orchestrator.matrix.cells import Cell
from orchestrator.matrix.grid import Grid
from orchestrator.matrix.pairs import Pair
from orchestrator.matrix.report import MatrixReport
from orchestrator.matrix.results import CellResult
from orchestrator.matrix.words import blame_lines
from orchestrator.report.bars import bar
from orchestrator.report.words import cell as escaped
from orchestrator.report.words import compact, counted, duration, interval_words

NO_MODEL = "no model"
FEW = 6
"""With fewer instances than this no pair can have a p-value under 5 %."""
FEW_INSTANCES = f"Fewer than {FEW} instances can't tell cells apart: no p-value gets under 0.05."


def render_matrix(report: MatrixReport) -> str:
    """The whole file's text. The picture is grid.svg, beside it."""
    parts = (_head, _cells, _attempts, _pairs, _grids)
    return "\n".join(line for part in parts for line in part(report))


def headline(report: MatrixReport) -> str:
    """How the whole matrix stands, in one line."""
    done = sum(cell.valid for cell in report.cells)
    took = f" in {duration(report.wall_s)}" if report.wall_s else ""
    if report.valid and len(report.cells) == 1 and (all_of_them := report.cells[0].repeated):
        return (
            f"pass@1 {estimate_words(all_of_them.pass_at[0])}: {report.attempts} attempts at "
            f"{counted(all_of_them.instances, 'instance')}{took}"
        )
    if report.valid:
        return f"{counted(done, 'cell')} done{took}"
    left = len(report.cells) - done
    return f"{done} of {counted(len(report.cells), 'cell')} done{took}; {left} not valid yet"


def _head(report: MatrixReport) -> Iterable[str]:
    yield f"# {escaped(report.matrix_id)}"
    yield ""
    if report.description:
        yield escaped(report.description, 2000)
        yield ""
    yield f"**{headline(report)}**"
    yield ""
    for benchmark in report.benchmarks:
        models, agents = report.axes(benchmark)
        yield f"## {escaped(benchmark)}"
        yield ""
        yield f"| | {' | '.join(map(escaped, agents))} |"
        yield f"|---|{'---|' * len(agents)}"
        for model in models:
            words = [_words(report, Cell(benchmark, model, agent)) for agent in agents]
            yield f"| **{escaped(model or NO_MODEL)}** | {' | '.join(words)} |"
        yield ""
        for line in blame_lines(report.cells_of(benchmark)):
            yield f"> {escaped(line, 1000)}"
            yield ""


def _words(report: MatrixReport, cell: Cell) -> str:
    words = report.words.get(cell)
    if words is None:
        return ""
    lines = "<br>".join(escaped(line) for line in words.lines)
    return f"{words.mark or ''} {lines}".strip()


def _cells(report: MatrixReport) -> Iterable[str]:
    yield "## Cells"
    yield ""
    yield (
        "| benchmark | model | agent | resolved | rate | 95 % interval | valid | salvaged "
        "| calls or answers broken | steps | tokens | time | reports |"
    )
    yield "|---|---|---|---|---:|---|---|---:|---|---:|---:|---:|---|"
    for cell in report.cells:
        yield f"| {' | '.join(_cell_row(cell))} |"
    yield ""
    yield "Steps are the median of the rollouts that count; time is that of all of them, added up."
    if report.attempts > 1:
        yield (
            f"Rates are means over {report.attempts} attempts; their intervals take the attempts "
            "at an instance as one cluster (Miller 2024, Korn and Graubard 1998)."
        )
    yield ""


def _cell_row(cell: CellResult) -> list[str]:
    of = cell.instances * cell.attempts
    broken, all_of_them, what = cell.trouble
    trouble = f"{broken} of {all_of_them} {what}" if all_of_them else ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in cell.call_problems.items())
    return [
        escaped(cell.benchmark),
        escaped(cell.model or NO_MODEL),
        escaped(cell.agent),
        f"`{bar(cell.resolved, of, 10)}` {cell.resolved}/{of}",
        f"{cell.rate:.1%}",
        interval_words(cell.ci95),
        escaped(cell.quarantined or "yes") if cell.valid else f"no: {escaped(cell.why_not_valid)}",
        str(cell.salvaged),
        f"{trouble}: {kinds}" if kinds else trouble,
        "" if cell.median_steps is None else f"{cell.median_steps:g}",
        compact(cell.tokens),
        duration(cell.rollout_hours * 3600),
        " ".join(
            f"[{number}](../{run_id}/report.html)" for number, run_id in enumerate(cell.run_ids, 1)
        ),
    ]


def _attempts(report: MatrixReport) -> Iterable[str]:
    return attempts_section(report.cells)


def _pairs(report: MatrixReport) -> Iterable[str]:
    yield "## Neighbours"
    yield ""
    yield (
        "Two cells that differ in the model alone, or in the agent alone. An instance without a "
        "verdict in either is left out, and counts as nothing."
    )
    yield ""
    if are_few(report.pairs.compared):
        yield FEW_INSTANCES
        yield ""
    if report.pairs.compared:
        yield "| | for | instances | left out | better / worse | difference | 95 % | p | p (Holm) |"
        yield "|---|---|---:|---:|---|---:|---|---:|---:|"
        for pair in report.pairs.compared:
            yield f"| {' | '.join(map(escaped, pair_row(pair, report)))} |"
        yield ""
        yield (
            f"p is of the exact McNemar (sign) test{_by_attempts(report)}; Holm's correction is "
            f"for all {len(report.pairs.compared)} pairs that could be compared. The interval is "
            "Bonett's and Price's for pairs (2012), without correction."
        )
    elif not report.pairs.left_out:
        yield "There are no two such cells."
    yield from left_out_lines(report)
    yield ""


def are_few(pairs: Sequence[Pair]) -> bool:
    """Whether there are pairs, and all of them of so few instances that they can't differ."""
    return bool(pairs) and max(pair.instances for pair in pairs) < FEW


def _by_attempts(report: MatrixReport) -> str:
    if report.attempts == 1:
        return ""
    return (
        ", instance by instance: better is who resolved it in more of its attempts, and only "
        "instances count of which every attempt has a verdict"
    )


def left_out_lines(report: MatrixReport) -> list[str]:
    """Why pairs could not be compared."""
    return [
        f"{counted(count, 'pair')} left out: {why}." for why, count in report.pairs.left_out.items()
    ]


def pair_row(pair: Pair, report: MatrixReport) -> list[str]:
    """What a table says of a pair, in the order of its columns."""
    low, high = pair.ci95
    shared = pair.shared if len(report.benchmarks) == 1 else f"{pair.shared}, {pair.benchmark}"
    return [
        f"{pair.one} against {pair.other}",
        shared,
        str(pair.instances),
        str(pair.left_out),
        f"{pair.better} / {pair.worse}",
        "" if pair.difference is None else f"{100 * pair.difference:+.1f} points",
        f"{100 * low:+.1f} to {100 * high:+.1f}",
        p_words(pair.p),
        p_words(pair.p_holm),
    ]


def p_words(p: float | None) -> str:
    """With more digits the smaller it is; empty where there is none."""
    if p is None:
        return ""
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.4f}" if p < 0.01 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _grids(report: MatrixReport) -> Iterable[str]:
    yield "## Instances"
    yield ""
    yield "![every instance in every cell](grid.svg)"
    yield ""
    for grid in report.grids:
        yield f"<details><summary>{escaped(grid.benchmark)}, in words</summary>"
        yield ""
        yield from _grid_table(grid)
        yield ""
        yield "</details>"
        yield ""


def _grid_table(grid: Grid) -> Sequence[str]:
    columns = [escaped(column.rpartition(": ")[0] or column) for column in grid.columns]
    return [
        f"| instance | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {escaped(row.instance_id, 300)} | "
            f"{' | '.join(escaped(square.words) for square in row.squares)} |"
            for row in grid.rows
        ),
    ]
