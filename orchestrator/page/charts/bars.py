"""Bars: the funnel, and what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.page.charts.drawing import Chart, PictureForm, Spec, draw
from orchestrator.page.sections.funnel import Funnel
from orchestrator.page.sections.spending import CameTo, Spending, TimePart

CAME_TO_COLOURS = {
    CameTo.RESOLVED: "var(--resolved)",
    CameTo.UNRESOLVED: "var(--unresolved-mid)",
    CameTo.NOTHING: "var(--failed-mid)",
}
PART_COLOURS = {
    TimePart.MODEL: "var(--accent)",
    TimePart.TOOLS: "var(--accent-mid)",
    TimePart.WAITING: "var(--failed-mid)",
    TimePart.SANDBOX: "var(--unresolved-mid)",
    TimePart.GRADING: "var(--unresolved)",
}


def draw_funnel(funnel: Funnel) -> Chart:
    return draw("funnel", funnel.label, lambda form: _funnel(funnel, form))


def _funnel(funnel: Funnel, form: PictureForm) -> Spec:
    """A bar a stage, on the track of all instances; at its end the count, under it who was lost."""
    values = [
        {
            "stage": stage.name,
            "count": stage.count,
            "all": funnel.instances,
            "words": f"{stage.count:,}",
            "lost": f"− {stage.lost}" if stage.lost else "",
            "last": number == len(funnel.stages) - 1,
        }
        for number, stage in enumerate(funnel.stages)
    ]
    names, room, bar = (0 if form.is_narrow else 100), 48, 14
    width, step = form.width - names - room, (58 if form.is_narrow else 42)
    scale = {"domain": [0, max(1, funnel.instances)], "nice": False}
    x: Spec = {"type": "quantitative", "axis": None, "scale": scale}
    mark: Spec = {"type": "bar", "height": bar, "cornerRadius": 2}
    lost = {"type": "text", "align": "left", "dy": bar / 2 + 9, "fontSize": 12}
    colour = {
        "condition": {"test": "datum.last", "value": "var(--accent)"},
        "value": "var(--accent-mid)",
    }
    return {
        "width": width,
        "height": step * len(values),
        "autosize": "none",
        "padding": {"left": names, "right": room, "top": 0, "bottom": 0},
        "data": {"values": values},
        "encoding": {"y": {"field": "stage", "type": "nominal", "sort": None, "axis": None}},
        "layer": [
            _names("stage", names, bar, form),
            {
                "mark": {**mark, "color": "var(--track)"},
                "encoding": {"x": {"field": "all", **x}},
            },
            {"mark": mark, "encoding": {"x": {"field": "count", **x}, "color": colour}},
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "fontWeight": 600},
                "encoding": {"text": {"field": "words"}, "x": {"field": "count", **x}},
            },
            {
                "mark": {**lost, "color": "var(--muted)"},
                "encoding": {"text": {"field": "lost"}, "x": {"value": 0}},
            },
        ],
    }


def _names(field: str, room: int, bar: int, form: PictureForm) -> Spec:
    """Of rows: at their left, or above them on a phone."""
    above = -bar / 2 - 10 if form.is_narrow else 0
    return {
        "mark": {"type": "text", "align": "left", "dy": above},
        "encoding": {"text": {"field": field}, "x": {"value": -room}},
    }


def draw_shares(spending: Spending) -> Chart:
    key = tuple((CAME_TO_COLOURS[row.came_to], str(row.came_to)) for row in spending.rows)
    return draw("shares", spending.share_label, lambda form: _shares(spending, form), key)


def _shares(spending: Spending, form: PictureForm) -> Spec:
    """Of steps, tokens and time: what went into resolved instances, others, and nothing."""
    amounts: dict[str, list[float]] = {
        "steps": [row.steps for row in spending.rows],
        "tokens": [row.tokens for row in spending.rows],
        "time": [row.total_s for row in spending.rows],
    }
    values = [
        {"of": name, "came to": row.came_to, "order": order, "amount": amount / sum(column)}
        for name, column in amounts.items()
        if sum(column)
        for order, (row, amount) in enumerate(zip(spending.rows, column, strict=True))
    ]
    names = [row.came_to for row in spending.rows]
    colours = [CAME_TO_COLOURS[name] for name in names]
    return _stacked(values, "of", "came to", names, colours, form, "%")


def draw_hours(spending: Spending) -> Chart:
    key = tuple((PART_COLOURS[part], str(part)) for part in spending.parts)
    return draw("hours", spending.label, lambda form: _hours(spending, form), key)


def _hours(spending: Spending, form: PictureForm) -> Spec:
    unit, seconds = ("hours", 3600) if spending.total_s >= 7200 else ("minutes", 60)
    values = [
        {"of": row.came_to, "part": part, "order": order, "amount": row.seconds[part] / seconds}
        for row in spending.rows
        for order, part in enumerate(spending.parts)
    ]
    colours = [PART_COLOURS[part] for part in spending.parts]
    return _stacked(values, "of", "part", list(spending.parts), colours, form, "", unit)


def _stacked(
    values: Sequence[Mapping[str, object]],
    name: str,
    series: str,
    names: Sequence[str],
    colours: Sequence[str],
    form: PictureForm,
    unit: str,
    title: str | None = None,
) -> Spec:
    left, right = 84, 22
    rows = len({value[name] for value in values})
    return {
        "width": form.width - left - right,
        "height": 34 * rows,
        "autosize": "none",
        "padding": {"left": left, "right": right, "top": 0, "bottom": 46 if title else 26},
        "data": {"values": list(values)},
        "mark": {"type": "bar", "height": 18, "stroke": "var(--paper)", "strokeWidth": 1},
        "encoding": {
            "y": {
                "field": name,
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 0},
            },
            "x": {
                "field": "amount",
                "type": "quantitative",
                "title": title,
                "axis": {
                    "format": ".0%" if unit == "%" else ",~r",
                    "tickCount": 4,
                    "labelFlush": False,
                },
                "scale": {"domain": [0, 1]} if unit == "%" else {"zero": True, "nice": True},
            },
            "order": {"field": "order"},
            "color": {
                "field": series,
                "type": "nominal",
                "sort": None,
                "scale": {"domain": list(names), "range": list(colours)},
            },
        },
    }
