"""Rates with their intervals on one axis: this run beside others, and repositories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.page.charts.drawing import Chart, Form, Spec, draw
from orchestrator.page.sections.headline import Headline
from orchestrator.page.sections.repositories import Repositories

NAMES = 300
"""Pixels for names beside the picture; on a phone they stand above their lines."""
MOST_LETTERS = 44


@dataclass(frozen=True)
class Line:
    """A rate with its interval; shares of 1."""

    name: str
    rate: float
    low: float
    high: float
    words: str
    is_accented: bool


def draw_headline(headline: Headline) -> Chart:
    lines = [
        Line(one.name, one.rate, *one.interval, f"{one.rate:.1%}", one.is_this_run)
        for one in headline.results
    ]
    return draw("rates", headline.label, lambda form: _rates(lines, form))


def draw_repositories(repositories: Repositories) -> Chart:
    lines = [
        Line(row.name, row.rate, row.low, row.high, f"{row.resolved} / {row.instances}", True)
        for row in repositories.rows
    ]
    return draw(
        "repositories", repositories.label, lambda form: _rates(lines, form, repositories.rate)
    )


def _rates(lines: Sequence[Line], form: Form, rule: float | None = None) -> Spec:
    """A row each: the interval as a bar, the rate as a dot, its words at the right. `rule` is a
    rate that all are read against."""
    room, names = 64, 0 if form.is_narrow else _room_for(lines)
    width = form.width - names - room
    values = [
        {
            "row": number,
            "name": line.name,
            "rate": line.rate,
            "low": line.low,
            "high": line.high,
            "words": line.words,
            "accented": line.is_accented,
        }
        for number, line in enumerate(lines)
    ]
    x: Spec = {
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, _top(lines)], "nice": False},
        "axis": {"format": ".0%", "tickCount": 4 if form.is_narrow else 8},
    }
    colour = {
        "condition": {"test": "datum.accented", "value": "var(--accent)"},
        "value": "var(--unresolved)",
    }
    soft = {
        "condition": {"test": "datum.accented", "value": "var(--accent-mid)"},
        "value": "var(--unresolved-mid)",
    }
    name: Spec = {
        "mark": {
            "type": "text",
            "align": "left",
            "dy": -15 if form.is_narrow else 0,
            "limit": form.width - room if form.is_narrow else names - 12,
        },
        "encoding": {
            "text": {"field": "name"},
            "x": {"value": 0 if form.is_narrow else -names},
        },
    }
    return {
        "width": width,
        "height": {"step": 42 if form.is_narrow else 30},
        "padding": {"left": 0 if form.is_narrow else names, "right": room, "top": 4, "bottom": 0},
        "autosize": {"type": "pad", "contains": "padding"},
        "data": {"values": values},
        "encoding": {"y": {"field": "row", "type": "ordinal", "axis": None}},
        "layer": [
            {
                "mark": {"type": "bar", "height": 6, "cornerRadius": 3},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "color": soft},
            },
            *([] if rule is None else [_rule(rule, x)]),
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 110},
                "encoding": {"x": {"field": "rate", **x}, "color": colour},
            },
            name,
            {
                "mark": {"type": "text", "align": "right", "dx": room},
                "encoding": {"text": {"field": "words"}, "x": {"value": width}},
            },
        ],
    }


def _rule(rate: float, x: Spec) -> Spec:
    return {
        "data": {"values": [{"rate": rate}]},
        "mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [3, 3]},
        "encoding": {"x": {"field": "rate", **x}, "y": None},
    }


def _room_for(lines: Sequence[Line]) -> int:
    longest = max((len(line.name) for line in lines), default=0)
    return min(NAMES, 24 + 7 * longest)


def _top(lines: Sequence[Line]) -> float:
    """Where the axis ends: the next tenth after the highest interval."""
    highest = max((line.high for line in lines), default=1.0)
    return min(1.0, max(0.1, -(-highest * 10 // 1) / 10))
