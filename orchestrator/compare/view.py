"""A comparison on the terminal: what differs first, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.compare import words
from orchestrator.compare.build import Comparison
from orchestrator.report.bars import bar
from orchestrator.report.words import counted
from orchestrator.text import printable

FLIPPED_SHOWN = 10
PAIRS_SHOWN = 12


def render_comparison(found: Comparison) -> RenderableType:
    return Group(
        *_differences(found), *_sides(found), *_pairs(found), *_solved(found), *_end(found)
    )


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(_text(column), overflow="fold")
    return table


def _differences(found: Comparison) -> Iterator[RenderableType]:
    if found.differences:
        names = list(next(iter(found.differences.values())))
        table = _table("what differs between them", "", *names)
        for key, values in found.differences.items():
            table.add_row(*(_text(each[:200]) for each in (key, *values.values())))
        yield table
    for line in (words.unknown_words(found), words.same_words(found)):
        if line:
            yield _text(line)


def _sides(found: Comparison) -> Iterator[RenderableType]:
    columns = ("", "resolved", "95% interval", "tokens per resolved", "time per resolved")
    shown = 5 if words.knows_costs(found) else 3
    table = _table(f"on {counted(found.instances, 'instance')}", *columns[:shown])
    for side in found.sides:
        rate = (words.resolved_of(side), words.interval(side))
        row = (side.name, *rate, words.tokens(side), words.seconds(side))
        table.add_row(*map(_text, row[:shown]))
    yield table
    for warning in found.warnings:
        yield _text(f"! {warning}", "yellow")


def _pairs(found: Comparison) -> Iterator[RenderableType]:
    if line := words.correction(found):
        yield _text(line)
    for pair in found.pairs[:PAIRS_SHOWN]:
        yield _text(words.pair_title(pair), "bold")
        yield _text(f"  {words.verdict(pair)}", "bold")
        yield _text(f"  {words.difference(pair)}")
        yield _text(f"  {words.smallest(pair)}")
    if (more := len(found.pairs) - PAIRS_SHOWN) > 0:
        yield _text(f"and {more} more pairs: --markdown FILE has them all", "dim")


def _solved(found: Comparison) -> Iterator[RenderableType]:
    table = _table("who resolved what", "resolved by", "", "instances")
    for solved in found.solved[:20]:
        picture = bar(solved.count, found.instances)
        table.add_row(_text(words.solved_by(solved.by)), picture, str(solved.count))
    yield table


def _end(found: Comparison) -> Iterator[RenderableType]:
    count = len(found.flipped)
    if not count:
        return
    shown = ", ".join(each.instance_id for each in found.flipped[:FLIPPED_SHOWN])
    rest = f" and {count - FLIPPED_SHOWN} more" if count > FLIPPED_SHOWN else ""
    yield _text(f"{count} came out differently: {shown}{rest}")
    yield _text("--html FILE or --markdown FILE has each with links to its trajectories", "dim")
