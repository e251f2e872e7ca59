"""A picture of the night: what was sampled, as lines of block characters. Pure.

A line has as many columns as fit, each the mean over an equal part of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.report.timeline import MEASURES, Column, Measure, Timeline, is_away, timeline_of
from orchestrator.report.words import amount, duration

COLUMNS = 60
BLOCKS = "▁▂▃▄▅▆▇█"
AWAY = "x"
UNKNOWN = "·"
NAME_WIDTH = max(len(measure.name) for measure in MEASURES) + 1


@dataclass(frozen=True)
class NightPicture:
    lines: tuple[str, ...]
    """All of one width but for the ranges at their ends; the last one is the scale of time."""
    legend: str
    """How to read them: a sentence."""


def draw_night(samples: Sequence[LoadSample]) -> NightPicture | None:
    """None where there is nothing to draw."""
    timeline = timeline_of(samples, COLUMNS)
    if timeline is None:
        return None
    columns = timeline.columns
    seen = [(measure, measure.values(columns)) for measure in MEASURES]
    # what may be under way is read against what is
    top = max((v for _, values in seen[:2] for v in values if v is not None), default=0.0)
    lines = [_line(measure, values, columns, top) for measure, values in seen[:2]]
    lines += [
        _line(measure, values, columns)
        for measure, values in seen[2:]
        if any(value is not None for value in values)
    ]
    legend = _legend("".join(lines), timeline)
    return NightPicture((*lines, _time_line(len(columns), timeline.seconds)), legend)


def sparkline(values: Sequence[float | None], top: float) -> str:
    """A block for each value, from `▁` for 0 to `█` for `top`; `·` for None."""
    return "".join(UNKNOWN if value is None else _block(value, top) for value in values)


def _block(value: float, top: float) -> str:
    share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
    return BLOCKS[round(share * (len(BLOCKS) - 1))]


def _line(
    measure: Measure,
    values: Sequence[float | None],
    columns: Sequence[Column],
    top: float | None = None,
) -> str:
    """Name, picture, range. `top` is the scale's end, the line's own maximum where it is None."""
    known = [value for value in values if value is not None]
    blocks = sparkline(values, max(known, default=0.0) if top is None else top)
    drawn = "".join(
        AWAY if is_away(column) else block for column, block in zip(columns, blocks, strict=True)
    )
    low, high = (amount(f(known)) if known else "?" for f in (min, max))
    span = low if low == high else f"{low} to {high}"
    return f"{measure.name:<{NAME_WIDTH}}{drawn} {span} {measure.unit}".rstrip()


def _time_line(columns: int, seconds: float) -> str:
    end = duration(seconds)
    return f"{'':<{NAME_WIDTH}}0{end:>{max(columns - 1, len(end) + 1)}}"


def _legend(lines: str, timeline: Timeline) -> str:
    parts = [
        f"A column is {duration(timeline.column_s)}",
        f"{BLOCKS[0]} is zero, {BLOCKS[-1]} the highest of the range at the line's end",
    ]
    if AWAY in lines:
        parts.append(f"`{AWAY}`: no server was up for most of it")
    if UNKNOWN in lines:
        parts.append(f"`{UNKNOWN}`: not known")
    if timeline.left_out_s:
        parts.append(f"{duration(timeline.left_out_s)} without a sample are left out")
    return "; ".join(parts) + "."
