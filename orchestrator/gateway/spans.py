"""Spans of time that may overlap, and how long they are together."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[float, float]
"""Its start and its end, in seconds of one clock."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same moments in spans that neither overlap nor touch, in order."""
    together: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if together and start <= together[-1][1]:
            together[-1] = (together[-1][0], max(together[-1][1], end))
        else:
            together.append((start, end))
    return together


def total_s(spans: Iterable[Span]) -> float:
    """Seconds of all spans together; a moment counts once however many of them hold it."""
    return sum(end - start for start, end in merged(spans))


def within(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of spans that lie between two moments."""
    cut = ((max(s, start), min(e, end)) for s, e in spans)
    return [(s, e) for s, e in cut if e > s]
