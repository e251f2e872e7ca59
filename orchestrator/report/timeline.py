"""The night's samples in equal columns of time. Pure.

The time between sessions is left out: a run that was resumed the next evening shows two nights and
no day.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics

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

    def mean(self, column: Column) -> float | None:
        """None where no sample of the column shows it."""
        part = whole = 0.0
        for row, share in column:
            some, all_of_it = self.part(row), self.whole(row)
            if some is not None and all_of_it is not None:
                part += share * some
                whole += share * all_of_it
        return part / whole if whole > 0 else None

    def values(self, columns: Sequence[Column]) -> list[float | None]:
        """By column; None where no server was up, or no sample shows it."""
        return [None if is_away(column) else self.mean(column) for column in columns]


@dataclass(frozen=True)
class Placed:
    """A sample, with its start on a clock that stands still between sessions."""

    sample: LoadSample
    start: float
    is_first: bool
    """Of its session."""

    @property
    def begin(self) -> float:
        """Seconds since the epoch."""
        return self.sample.at - self.sample.seconds


@dataclass(frozen=True)
class Timeline:
    placed: tuple[Placed, ...]
    columns: tuple[Column, ...]
    seconds: float
    """That all columns span."""
    left_out_s: float

    @property
    def column_s(self) -> float:
        return self.seconds / len(self.columns)

    def clock(self, at: float) -> float | None:
        """Where a moment lies on the clock; None where no session was near."""
        index = bisect_left(self.placed, at, key=lambda one: one.sample.at)
        after = self.placed[index] if index < len(self.placed) else None
        if after is not None and (early := after.begin - at) < GAP_S:
            return after.start - early if early <= 0 or not after.is_first else after.start
        before = self.placed[index - 1] if index else None
        if before is not None and at - before.sample.at < GAP_S:
            return before.start + before.sample.seconds
        return None


def timeline_of(samples: Sequence[LoadSample], most: int) -> Timeline | None:
    """At most so many columns; None where there is nothing to show."""
    placed, seconds, left_out_s = _place(samples)
    if not placed:
        return None
    columns: list[list[tuple[LoadSample, float]]] = [[] for _ in range(min(most, len(placed)))]
    for one in placed:
        for index, share in _shares(one.start, one.sample.seconds, seconds / len(columns)):
            if index < len(columns):
                columns[index].append((one.sample, share))
    return Timeline(tuple(placed), tuple(columns), seconds, left_out_s)


def is_away(column: Column) -> bool:
    """Whether no server was up for most of what was watched."""
    watched_s = sum(share * row.seconds for row, share in column)
    return sum(share * row.down_s for row, share in column) > watched_s / 2


def _place(samples: Sequence[LoadSample]) -> tuple[list[Placed], float, float]:
    """With the seconds that the clock counts, and those that it leaves out."""
    placed: list[Placed] = []
    clock = left_out_s = 0.0
    for row, gap_s in _with_gaps([row for row in samples if row.seconds > 0]):
        is_first = gap_s > GAP_S or not placed
        if gap_s > GAP_S:
            left_out_s += gap_s
        else:
            clock += gap_s
        placed.append(Placed(row, clock, is_first))
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


def _with_gaps(samples: Sequence[LoadSample]) -> Iterator[tuple[LoadSample, float]]:
    """Each sample with the seconds before it that no sample covers; 0 for the first."""
    before: LoadSample | None = None
    for row in samples:
        yield row, max(0.0, row.at - row.seconds - before.at) if before else 0.0
        before = row


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


UNDER_WAY = Measure("rollouts under way", "", _timed(lambda row: row.rollouts), _seconds)
ADMITTED = Measure("rollouts admitted", "", _timed(lambda row: row.admitted), _seconds)
TOKENS = Measure("tokens generated", "a second", lambda row: row.completion_tokens, _seconds)
KV_CACHE = Measure(
    "KV cache in use", "%", _timed(_shown(lambda server: 100 * server.kv_usage)), _seconds
)
PROMPTS_CACHED = Measure(
    "prompts cached",
    "%",
    _shown(lambda server: 100 * server.prefix_hits),
    _shown(lambda server: server.prefix_queries),
)
RUNNING = Measure(
    "running at the server", "requests", _timed(_shown(lambda server: server.running)), _seconds
)
WAITING = Measure(
    "waiting at the server", "requests", _timed(_shown(lambda server: server.waiting)), _seconds
)
LATENCY = Measure(
    "mean answer latency", "s", lambda row: row.answers * row.latency_s, lambda row: row.answers
)
MEASURES = (UNDER_WAY, ADMITTED, TOKENS, KV_CACHE, PROMPTS_CACHED, WAITING, LATENCY)
