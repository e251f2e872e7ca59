"""Every instance in every cell, as a picture: an SVG that needs nothing beside it. Pure.

Instances are rows and cells are columns, the instances that most cells resolve first. Many rows
stand in panels side by side, so that 300 of them still fit a page. Colours go by whether a page is
light or dark, and a sign in each square tells them apart without colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from orchestrator.errors import one_line
from orchestrator.matrix.results import CellResult, InstanceResult, RunResult
from orchestrator.matrix.words import WARNING, of_instance
from orchestrator.report.names import Mark
from orchestrator.report.words import counted
from orchestrator.text import printable

ROWS_OF_A_PANEL = 60
"""So many before another panel is begun."""
MOST_PANELS = 3
SQUARE, GAP, MARGIN = 18, 2, 16
LETTER = 6.7
"""Width of one, of the font that is asked for; no font is wider by much."""
NAME_LETTERS = 36
LINE = 18


@dataclass(frozen=True)
class Square:
    """An instance in a cell, over all its attempts."""

    kind: str
    """A class of the picture's style: resolved, salvaged, partly, unresolved, none, absent."""
    sign: str
    words: str


@dataclass(frozen=True)
class GridRow:
    instance_id: str
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class Grid:
    """Of one benchmark."""

    benchmark: str
    columns: tuple[str, ...]
    """What stands for each cell in the legend."""
    rows: tuple[GridRow, ...]


def build_grids(cells: Sequence[CellResult], runs: Sequence[RunResult]) -> tuple[Grid, ...]:
    """One a benchmark."""
    return tuple(
        _build([cell for cell in cells if cell.benchmark == benchmark], runs)
        for benchmark in dict.fromkeys(cell.benchmark for cell in cells)
    )


def _build(cells: Sequence[CellResult], runs: Sequence[RunResult]) -> Grid:
    results = [[run.instances for run in runs if run.cell == cell.cell] for cell in cells]
    ids = dict.fromkeys(i for attempts in results for attempt in attempts for i in attempt)
    rows = [
        GridRow(
            instance_id,
            tuple(
                _square([attempt.get(instance_id) for attempt in attempts]) for attempts in results
            ),
        )
        for instance_id in ids
    ]
    rows.sort(key=lambda row: -sum(s.kind in ("resolved", "salvaged") for s in row.squares))
    columns = [f"{cell.cell.author}: {_rate(cell)}" for cell in cells]
    return Grid(cells[0].benchmark, tuple(columns), tuple(rows))


def _rate(cell: CellResult) -> str:
    if not cell.instances:
        return cell.why_not_valid
    note = "" if cell.valid else ", not valid yet"
    return f"{cell.resolved} of {cell.instances * cell.attempts} ({cell.rate:.0%}){note}"


def _square(attempts: Sequence[InstanceResult | None]) -> Square:
    known = [result for result in attempts if result is not None]
    verdicts = [result.resolved for result in known if result.resolved is not None]
    words = "; ".join(str(of_instance(result)) for result in known) or "not started"
    if len(verdicts) < len(attempts):
        started = any(result.mark is not Mark.NOT_STARTED for result in known)
        return Square("none" if started else "absent", "?" if started else "·", words)
    if len(verdicts) > 1 and 0 < sum(verdicts) < len(verdicts):
        return Square("partly", str(sum(verdicts)), words)
    if not all(verdicts):
        return Square("unresolved", "✗", words)
    if any(result.salvaged for result in known):
        return Square("salvaged", "✓", words)
    return Square("resolved", "✓", words)


LEGEND = (
    ("resolved", "✓", "resolved"),
    ("salvaged", "✓", "resolved, salvaged: the agent never submitted it"),
    ("partly", "2", "resolved in so many of the attempts"),
    ("unresolved", "✗", "unresolved"),
    ("none", "?", "no verdict: a failure, or not graded"),
    ("absent", "·", "not started"),
)
STYLE = """
 .page { fill: #ffffff; }
 text { font: 11px ui-monospace, Menlo, Consolas, monospace; fill: #24292f; }
 .title { font-size: 14px; font-weight: bold; }
 .sign { text-anchor: middle; }
 .n { text-anchor: middle; fill: #57606a; }
 .resolved rect { fill: #4aa3df; } .resolved text { fill: #06283d; }
 .salvaged rect { fill: #4aa3df; stroke: #d9822b; stroke-width: 3; }
 .salvaged text { fill: #06283d; }
 .partly rect { fill: #b9dcf2; } .partly text { fill: #06283d; }
 .unresolved rect { fill: #e4e7eb; } .unresolved text { fill: #7a828c; }
 .none rect { fill: #f5c542; } .none text { fill: #3d2f00; }
 .absent rect { fill: none; stroke: #c4c9d0; } .absent text { fill: #7a828c; }
 @media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; }
  text { fill: #d8dee6; } .n { fill: #9aa4b0; }
  .partly rect { fill: #24557a; } .partly text { fill: #e6f2fb; }
  .unresolved rect { fill: #262d36; } .unresolved text { fill: #8b949e; }
  .absent rect { stroke: #3a424d; }
 }
"""


def draw_grids(title: str, grids: Sequence[Grid]) -> str:
    """The SVG's text."""
    body: list[str] = [_text(MARGIN, MARGIN + 12, title, "title")]
    parts, wide, y = _draw_legend(grids, MARGIN + 2 * LINE)
    body += parts
    widths = [LETTER * 1.3 * len(title), wide]
    for grid in grids:
        parts, wide, y = _draw(grid, y)
        body += parts
        widths.append(wide)
    width = math.ceil(max(widths) + 2 * MARGIN)
    height = math.ceil(y + MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(_plain(title))}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *body,
            "</svg>\n",
        ]
    )


def _draw(grid: Grid, y: float) -> tuple[list[str], float, float]:
    """A grid from `y` on: its parts, how wide it is, and where it ends."""
    parts = [_text(MARGIN, y, f"{grid.benchmark}, {counted(len(grid.rows), 'instance')}", "title")]
    width = 0.0
    for number, column in enumerate(grid.columns, start=1):
        y += LINE
        line = f"{number}  {column}"
        parts.append(_text(MARGIN, y, line))
        width = max(width, LETTER * len(_plain(line)))
    y += 1.5 * LINE
    names = max((min(len(row.instance_id), NAME_LETTERS) for row in grid.rows), default=0)
    names_width = LETTER * names + 8
    panel_width = names_width + len(grid.columns) * (SQUARE + GAP) + 24
    panels = min(MOST_PANELS, math.ceil(len(grid.rows) / ROWS_OF_A_PANEL)) or 1
    in_panel = math.ceil(len(grid.rows) / panels)
    for panel in range(panels):
        rows = grid.rows[panel * in_panel : (panel + 1) * in_panel]
        parts += _draw_panel(rows, len(grid.columns), MARGIN + panel * panel_width, y, names_width)
    end = y + in_panel * (SQUARE + GAP) + 2 * LINE
    return parts, max(width, panels * panel_width), end


def _draw_panel(
    rows: Sequence[GridRow], columns: int, x: float, y: float, names_width: float
) -> Iterator[str]:
    left = x + names_width
    for column in range(columns):
        yield _text(left + column * (SQUARE + GAP) + SQUARE / 2, y, str(column + 1), "n")
    for number, row in enumerate(rows):
        top = y + 6 + number * (SQUARE + GAP)
        yield _text(x, top + 13, _shortened(row.instance_id))
        for column, square in enumerate(row.squares):
            told = f"{row.instance_id}, {column + 1}: {square.words}"
            yield _square_at(left + column * (SQUARE + GAP), top, square.kind, square.sign, told)


def _draw_legend(grids: Sequence[Grid], y: float) -> tuple[list[str], float, float]:
    """Of what is there."""
    there = {square.kind for grid in grids for row in grid.rows for square in row.squares}
    parts, width = [], 0.0
    for kind, sign, words in LEGEND:
        if kind in there:
            parts.append(_square_at(MARGIN, y - 13, kind, sign, words))
            parts.append(_text(MARGIN + SQUARE + 8, y, words))
            width = max(width, SQUARE + 8 + LETTER * len(words))
            y += SQUARE + 4
    return parts, width, y + LINE


def _square_at(x: float, y: float, kind: str, sign: str, told: str) -> str:
    return (
        f'<g class="{kind}"><title>{escape(_plain(told))}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{SQUARE}" height="{SQUARE}" rx="3"/>'
        f'<text class="sign" x="{x + SQUARE / 2:g}" y="{y + 13:g}">{escape(sign)}</text></g>'
    )


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f" class={quoteattr(kind)}" if kind else ""
    return f'<text{named} x="{x:g}" y="{y:g}">{escape(_plain(words))}</text>'


def _shortened(name: str) -> str:
    """The end of a name tells it from others of its repository."""
    return name if len(name) <= NAME_LETTERS else f"…{name[1 - NAME_LETTERS :]}"


def _plain(words: str) -> str:
    """Without what no XML may hold."""
    return one_line(printable(words), 300).replace(WARNING, "")
