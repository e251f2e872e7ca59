"""A picture of the night: what was sampled, as lines of block characters. Pure.

A line has as many columns as fit, each the mean over an equal part of the time. The time between
sessions is left out: a run that was resumed the next evening shows two nights and no day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.report.words import amount, duration

COLUMNS = 60
BLOCKS = "▁▂▃▄▅▆▇█"
AWAY = "x"
UNKNOWN = "·"
GAP_S = 180.0
"""Samples come every few seconds: between two that are further apart there was no session."""

Column = Sequence[tuple[LoadSample, float]]
"""Samples that lie in it, each with the share of it that does."""


@dataclass(frozen=True)
class Measure:
    """A quantity of samples. Over several of them it is the sum of `part` by the sum of `whole`."""

    name: str
    unit: str
    part: Callable[[LoadSample], float | None]
    """None where the sample does not show it."""
    whole: Callable[[LoadSample], float | None]


@dataclass(frozen=True)
class NightPicture:
    lines: tuple[str, ...]
    """All of one width but for the ranges at their ends; the last one is the scale of time."""
    legend: str
    """How to read them: a sentence."""


def draw_night(samples: Sequence[LoadSample]) -> NightPicture | None:
    """None where there is nothing to draw."""
    columns, seconds, left_out_s = _columns(samples)
    if not columns:
        return None
    seen = [(measure, _values(measure, columns)) for measure in MEASURES]
    # what may be under way is read against what is
    top = max((v for _, values in seen[:2] for v in values if v is not None), default=0.0)
    lines = [_line(measure, values, columns, top) for measure, values in seen[:2]]
    lines += [
        _line(measure, values, columns)
        for measure, values in seen[2:]
        if any(value is not None for value in values)
    ]
    legend = _legend("".join(lines), seconds / len(columns), left_out_s)
    return NightPicture((*lines, _time_line(len(columns), seconds)), legend)


def sparkline(values: Sequence[float | None], top: float) -> str:
    """A block for each value, from `▁` for 0 to `█` for `top`; `·` for None."""
    return "".join(UNKNOWN if value is None else _block(value, top) for value in values)


def _block(value: float, top: float) -> str:
    share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
    return BLOCKS[round(share * (len(BLOCKS) - 1))]


def _timed(value: Callable[[LoadSample], float | None]) -> Callable[[LoadSample], float | None]:
    """A state's mean over time: what it was at a sample's end, for as long as the sample took."""

    def seconds_of(row: LoadSample) -> float | None:
        now = value(row)
        return None if now is None else now * row.seconds

    return seconds_of


def _shown(
    value: Callable[[ServerMetrics], float],
) -> Callable[[LoadSample], float | None]:
    """Something of the servers' metrics."""
    return lambda row: None if row.server is None else value(row.server)


def _seconds(row: LoadSample) -> float:
    return row.seconds


MEASURES = (
    Measure("rollouts under way", "", _timed(lambda row: row.rollouts), _seconds),
    Measure("rollouts admitted", "", _timed(lambda row: row.admitted), _seconds),
    Measure("tokens generated", "a second", lambda row: row.completion_tokens, _seconds),
    Measure(
        "KV cache in use",
        "%",
        _timed(_shown(lambda server: 100 * server.kv_usage)),
        _seconds,
    ),
    Measure(
        "prompts cached",
        "%",
        _shown(lambda server: 100 * server.prefix_hits),
        _shown(lambda server: server.prefix_queries),
    ),
    Measure(
        "waiting at the server",
        "requests",
        _timed(_shown(lambda server: server.waiting)),
        _seconds,
    ),
    Measure(
        "mean answer latency", "s", lambda row: row.answers * row.latency_s, lambda row: row.answers
    ),
)
NAME_WIDTH = max(len(measure.name) for measure in MEASURES) + 1


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
        AWAY if _is_away(column) else block for column, block in zip(columns, blocks, strict=True)
    )
    low, high = (amount(f(known)) if known else "?" for f in (min, max))
    span = low if low == high else f"{low} to {high}"
    return f"{measure.name:<{NAME_WIDTH}}{drawn} {span} {measure.unit}".rstrip()


def _values(measure: Measure, columns: Sequence[Column]) -> list[float | None]:
    """The measure by column; None where no server was up, or no sample shows it."""
    return [None if _is_away(column) else _mean(measure, column) for column in columns]


def _mean(measure: Measure, column: Column) -> float | None:
    part = whole = 0.0
    for row, share in column:
        some, all_of_it = measure.part(row), measure.whole(row)
        if some is not None and all_of_it is not None:
            part += share * some
            whole += share * all_of_it
    return part / whole if whole > 0 else None


def _is_away(column: Column) -> bool:
    """Whether no server was up for most of what was watched."""
    watched_s = sum(share * row.seconds for row, share in column)
    return sum(share * row.down_s for row, share in column) > watched_s / 2


def _columns(
    samples: Sequence[LoadSample],
) -> tuple[list[list[tuple[LoadSample, float]]], float, float]:
    """Samples by column, the seconds that all columns span, and those that are left out."""
    placed, seconds, left_out_s = _place(samples)
    columns: list[list[tuple[LoadSample, float]]] = [[] for _ in range(min(COLUMNS, len(placed)))]
    for row, start in placed:
        for index, share in _shares(start, row.seconds, seconds / len(columns)):
            if index < len(columns):
                columns[index].append((row, share))
    return columns, seconds, left_out_s


def _place(samples: Sequence[LoadSample]) -> tuple[list[tuple[LoadSample, float]], float, float]:
    """Samples with their start on a clock that stands still between sessions."""
    placed = []
    clock = left_out_s = 0.0
    for row, gap_s in _with_gaps([row for row in samples if row.seconds > 0]):
        if gap_s > GAP_S:
            left_out_s += gap_s
        else:
            clock += gap_s
        placed.append((row, clock))
        clock += row.seconds
    return placed, clock, left_out_s


def _shares(start: float, seconds: float, width: float) -> Iterator[tuple[int, float]]:
    """The columns of such a width that an interval touches, and which share of it lies in each."""
    index = int(start / width)
    while index * width < start + seconds:
        inside = min(start + seconds, (index + 1) * width) - max(start, index * width)
        if inside > 0:
            yield index, inside / seconds
        index += 1


def _time_line(columns: int, seconds: float) -> str:
    end = duration(seconds)
    return f"{'':<{NAME_WIDTH}}0{end:>{max(columns - 1, len(end) + 1)}}"


def _legend(lines: str, column_s: float, left_out_s: float) -> str:
    parts = [
        f"A column is {duration(column_s)}",
        f"{BLOCKS[0]} is zero, {BLOCKS[-1]} the highest of the range at the line's end",
    ]
    if AWAY in lines:
        parts.append(f"`{AWAY}`: no server was up for most of it")
    if UNKNOWN in lines:
        parts.append(f"`{UNKNOWN}`: not known")
    if left_out_s:
        parts.append(f"{duration(left_out_s)} without a sample are left out")
    return "; ".join(parts) + "."


def _with_gaps(samples: Sequence[LoadSample]) -> Iterator[tuple[LoadSample, float]]:
    """Each sample with the seconds before it that no sample covers; 0 for the first."""
    before: LoadSample | None = None
    for row in samples:
        yield row, max(0.0, row.at - row.seconds - before.at) if before else 0.0
        before = row
