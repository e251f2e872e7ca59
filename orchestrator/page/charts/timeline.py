"""The night: panels over one clock, outages as bands across all of them."""

from __future__ import annotations

from typing import Any

from orchestrator.page.charts.drawing import Chart, PictureForm, Spec, draw
from orchestrator.page.sections.night import NightView, Panel

LEFT, RIGHT = 44, 14
COLOURS = ("var(--accent)", "var(--failed-mid)")


def draw_night(night: NightView) -> Chart:
    key = [(COLOURS[0], "under way, running"), (COLOURS[1], "admitted, waiting")]
    if night.outages:
        key.append(("var(--failed-soft)", "no server was up"))
    return draw("night", night.label, lambda form: _night(night, form), tuple(key))


def _night(night: NightView, form: PictureForm) -> Spec:
    panels = night.coarse if form.is_narrow else night.fine
    unit, seconds = ("hours", 3600) if night.seconds >= 7200 else ("minutes", 60)
    x: Spec = {
        "type": "quantitative",
        "scale": {"domain": [0, night.seconds / seconds], "nice": False},
        "title": None,
        "axis": None,
    }
    parts = [_panel(panel, night, form, x, seconds) for panel in panels]
    if night.mishaps:
        parts.append(_mishaps(night, form, x, seconds))
    count = 4 if form.is_narrow else 8
    axis = {"title": f"{unit} since the start", "tickCount": count, "format": ",~r", "grid": False}
    for layer in parts[-1]["layer"]:
        layer["encoding"]["x"] = {**layer["encoding"]["x"], "axis": axis}
    return {
        "vconcat": parts,
        "spacing": 14,
        "padding": {"left": 0, "right": RIGHT, "top": 0, "bottom": 0},
    }


def _panel(panel: Panel, night: NightView, form: PictureForm, x: Spec, seconds: float) -> Spec:
    width = form.width - LEFT - RIGHT
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "stack": None,  # columns that meet at a moment are not added up
        "scale": {"domain": [0, panel.top or 1], "nice": 3},
        "axis": {
            "minExtent": LEFT,
            "maxExtent": LEFT,
            "tickCount": 3,
            "grid": True,
            "labelColor": "var(--muted)",
            "labelFontSize": 12,
            "format": ",~r",
        },
    }
    layers: list[dict[str, Any]] = [_bands(night, x, seconds), _sessions(night, x, seconds)]
    for number, series in enumerate(panel.series):
        step = night.seconds / seconds / len(series.values)
        # a mean holds for the whole of its column: one between two outages is a line too
        values = [
            {"at": edge * step, "value": value}
            for index, value in enumerate(series.values)
            for edge in (index, index + 1)
        ]
        colour = COLOURS[number]
        line = {"type": "line", "color": colour, "strokeWidth": 1.5}
        area = {
            "type": "area",
            "color": "var(--accent-soft)",
            "line": {"color": colour, "strokeWidth": 1.5},
        }
        layers.append(
            {
                "data": {"values": values},
                "mark": line if number else area,
                "encoding": {"x": {"field": "at", **x}, "y": y},
            }
        )
    return {
        "width": width,
        "height": 64 if form.is_narrow else 72,
        "title": {"text": panel.name, "color": "var(--ink)"},
        "layer": layers,
    }


def _bands(night: NightView, x: Spec, seconds: float) -> Spec:
    """Where no server was up."""
    values = [{"from": o.start / seconds, "to": o.end / seconds} for o in night.outages]
    return {
        "data": {"values": values},
        "mark": {"type": "rect", "color": "var(--failed-soft)"},
        "encoding": {"x": {"field": "from", **x}, "x2": {"field": "to"}},
    }


def _sessions(night: NightView, x: Spec, seconds: float) -> Spec:
    """Where later sessions began."""
    values = [{"at": start / seconds} for start in night.session_starts]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [3, 3]},
        "encoding": {"x": {"field": "at", **x}},
    }


def _mishaps(night: NightView, form: PictureForm, x: Spec, seconds: float) -> Spec:
    values = [{"at": m.clock / seconds, "redone": m.was_redone} for m in night.mishaps]
    return {
        "width": form.width - LEFT - RIGHT,
        "height": 20,
        "title": {"text": "failures: ▲ redone, ✚ not redone", "color": "var(--ink)"},
        "layer": [
            _bands(night, x, seconds),
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "size": 60, "color": "var(--failed)"},
                "encoding": {
                    "x": {"field": "at", **x},
                    "shape": {
                        "condition": {"test": "datum.redone", "value": "triangle-up"},
                        "value": "cross",
                    },
                },
            },
        ],
    }
