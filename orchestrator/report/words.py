"""Amounts as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from orchestrator.errors import one_line
from orchestrator.text import printable


def compact(count: float) -> str:
    """`950`, `12.3 k`, `4.56 M`: three digits and a unit, for tokens."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        # what would round to 1000 of a unit is 1 of the next
        if abs(count) >= 0.9995 * size:
            return f"{three_digits(count / size)} {unit}"
    return f"{count:.0f}"


def amount(value: float) -> str:
    """A number with as many decimals as say something: `1,234`, `56`, `7.8`, `0.12`, `3`."""
    if abs(value) >= 9.95:
        return f"{value:,.0f}"
    decimals = 1 if abs(value) >= 0.995 else 2
    return f"{value:.{decimals}f}".rstrip("0").removesuffix(".")


def counted(number: int, noun: str) -> str:
    """`1 image`, `3,000 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and how many there are of each, those of which there are most first."""
    return sorted(counts.items(), key=lambda item: -item[1])


def share_of(part: int, whole: int) -> str:
    """`40 of 52 (76.9%)`."""
    return f"{part:,} of {whole:,} ({part / whole if whole else 0:.1%})"


def interval_words(interval: tuple[float, float]) -> str:
    """`31.0% to 46.2%`, of shares of 1."""
    low, high = interval
    return f"{low:.1%} to {high:.1%}"


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """The same counts, the highest first; of one height in the order of their names."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def duration(seconds: float | None) -> str:
    """`3 d 04 h`, `2 h 05 min`, `3 min 20 s`, `12 s`; `?` for what is not known."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole >= 48 * 3600:
        return f"{whole // 86400} d {whole % 86400 // 3600:02} h"
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


NARROW = 0.15
"""Of its end, a range of time that is said as one number."""
ROUNDED_TO = ((60.0, 10), (60 * 60.0, 60), (48 * 3600.0, 600))
"""A range that ends below so many seconds has bounds of so many."""


def duration_range(low_s: float, high_s: float) -> str:
    """`20 to 50 s`, `12 to 18 min`, `3 h 20 min to 5 h`; one number where the bounds are near each
    other. Never nothing."""
    if high_s - low_s <= NARROW * high_s:
        return _rounded((low_s + high_s) / 2)
    size = next((size for below, size in ROUNDED_TO if high_s < below), 3600)
    low = _rounded(max(size, math.floor(low_s / size) * size))
    high = _rounded(max(size, math.ceil(high_s / size) * size))
    if low == high:
        return high
    (number, *unit), (_, *other) = low.split(" "), high.split(" ")
    return f"{number if unit == other and len(unit) == 1 else low} to {high}"


def _rounded(seconds: float) -> str:
    """`40 s`, `14 min`, `3 h 20 min`, `5 h`, `3 d 04 h`: at least a second."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{max(1, math.ceil(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes >= 48 * 60:
        return duration(seconds)
    hours, rest = divmod(round(minutes, -1), 60)
    return f"{hours} h {rest:02} min" if rest else f"{hours} h"


def three_digits(value: float) -> str:
    """`1.23`, `12.3`, `123`, `1234`."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}"


def cell(text: str | None, limit: int = 200) -> str:
    """Somebody's words for a cell of a Markdown table, or a line: they stay in it, as they are."""
    line = one_line(printable(text or ""), limit)
    escaped = re.sub(r"[\\`|]", r"\\\g<0>", line)
    return escaped.replace("<", "&lt;")
