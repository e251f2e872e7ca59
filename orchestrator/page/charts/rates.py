"""Rates with their intervals on one axis: this run beside others, and repositories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.page.charts.drawing import Chart, PictureForm, Spec, draw
from orchestrator.page.sections.headline import Headline
from orchestrator.page.sections.repositories import Repositories
from orchestrator.text import printable

NAMES = 320
"""At most so many pixels for names beside the picture; on a phone they stand above their lines."""
LETTER = 7.2
"""Pixels of one, on average."""
ROOM = 64
"""For the words at the right."""
AXIS = 26


@dataclass(frozen=True)
class RateLine:
    """A rate with its interval; shares of 1."""

    name: str
    rate: float
    low: float
    high: float
    words: str
    is_accented: bool


def draw_headline(headline: Headline) -> Chart:
    lines = [
        RateLine(one.name, one.rate, *one.interval, f"{one.rate:.1%}", one.is_this_run)
        for one in headline.results
    ]
    return draw("rates", headline.label, lambda form: _rates(lines, form))


def draw_repositories(repositories: Repositories) -> Chart:
    lines = [
        RateLine(row.name, row.rate, *row.interval, f"{row.resolved} / {row.instances}", True)
        for row in repositories.rows
    ]
    return draw(
        "repositories", repositories.label, lambda form: _rates(lines, form, repositories.rate)
    )


def _rates(lines: Sequence[RateLine], form: PictureForm, rule: float | None = None) -> Spec:
    """A row each: the interval as a bar, the rate as a dot, its words at the right. `rule` is a
    rate that all are read against."""
    names = 0 if form.is_narrow else _room_for(lines)
    width, step = form.width - names - ROOM, 44 if form.is_narrow else 30
    letters = int((form.width if form.is_narrow else names - 12) / LETTER)
    x: Spec = {
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, _top(lines)], "nice": False},
        "axis": {"format": ".0%", "tickCount": 4 if form.is_narrow else 8, "labelFlush": False},
    }
    return {
        "width": width,
        "height": step * len(lines),
        "autosize": "none",
        "padding": {"left": names, "right": ROOM, "top": 8, "bottom": AXIS},
        "data": {"values": _values(lines, letters)},
        "encoding": {"y": {"field": "row", "type": "ordinal", "axis": None}},
        "layer": [
            {
                "mark": {"type": "bar", "height": 6, "cornerRadius": 3},
                "encoding": {
                    "x": {"field": "low", **x},
                    "x2": {"field": "high"},
                    "color": _accented("var(--accent-mid)", "var(--unresolved-mid)"),
                },
            },
            *([] if rule is None else [_rule(rule, x)]),
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 110},
                "encoding": {
                    "x": {"field": "rate", **x},
                    "color": _accented("var(--accent)", "var(--unresolved)"),
                    "shape": _accented("circle", "diamond"),
                },
            },
            *_names(names, form),
            {
                "mark": {"type": "text", "align": "right", "dx": ROOM},
                "encoding": {"text": {"field": "words"}, "x": {"value": width}},
            },
        ],
    }


def _values(lines: Sequence[RateLine], letters: int) -> list[dict[str, object]]:
    """What the marks of each line are drawn from; names have at most so many letters."""
    return [
        {
            "row": number,
            "name": _cut(line.name, letters),
            "rate": line.rate,
            "low": line.low,
            "high": line.high,
            "words": line.words,
            "accented": line.is_accented,
            "bold": line.is_accented and any(not other.is_accented for other in lines),
        }
        for number, line in enumerate(lines)
    ]


def _names(room: int, form: PictureForm) -> list[Spec]:
    """Of rows; those that the page is about are bold."""
    mark = {"type": "text", "align": "left", "dy": -16 if form.is_narrow else 0}
    encoding = {"text": {"field": "name"}, "x": {"value": -room}}
    return [
        {
            "transform": [{"filter": {"field": "bold", "equal": is_bold}}],
            "mark": {**mark, "fontWeight": 700 if is_bold else 400},
            "encoding": encoding,
        }
        for is_bold in (True, False)
    ]


def _accented(yes: str, no: str) -> Spec:
    return {"condition": {"test": "datum.accented", "value": yes}, "value": no}


def _cut(name: str, letters: int) -> str:
    name = printable(name)
    return name if len(name) <= letters else f"{name[: letters - 1].rstrip()}…"


def _rule(rate: float, x: Spec) -> Spec:
    return {
        "data": {"values": [{"rate": rate}]},
        "mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [3, 3]},
        "encoding": {"x": {"field": "rate", **x}, "y": None},
    }


def _room_for(lines: Sequence[RateLine]) -> int:
    longest = max((len(line.name) for line in lines), default=0)
    return min(NAMES, 20 + round(LETTER * longest))


def _top(lines: Sequence[RateLine]) -> float:
    """Where the axis ends: the next tenth after the highest interval."""
    highest = max((line.high for line in lines), default=1.0)
    return min(1.0, max(0.1, -(-highest * 10 // 1) / 10))
