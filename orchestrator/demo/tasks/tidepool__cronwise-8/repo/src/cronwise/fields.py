"""One field of an expression: text in, set of numbers out."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CronError


@dataclass(frozen=True)
class FieldSpec:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        lowered = text.lower()
        if lowered in self.names:
            return self.low + self.names.index(lowered)
        if not text.isdecimal():
            raise CronError(f"{self.name}: {text!r} is not a number")
        value = int(text)
        if not self.low <= value <= self.high:
            raise CronError(f"{self.name}: {value} is not in {self.low}-{self.high}")
        return value


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

MINUTE = FieldSpec("minute", 0, 59)
HOUR = FieldSpec("hour", 0, 23)
DAY_OF_MONTH = FieldSpec("day of month", 1, 31)
MONTH = FieldSpec("month", 1, 12, MONTHS)
DAY_OF_WEEK = FieldSpec("day of week", 0, 7, WEEKDAYS)


def parse_field(text: str, spec: FieldSpec) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        values |= _parse_part(part, spec)
    return frozenset(values)


def _parse_part(part: str, spec: FieldSpec) -> set[int]:
    base, slash, step_text = part.partition("/")
    step = 1
    if slash:
        if not step_text.isdecimal():
            raise CronError(f"{spec.name}: step {step_text!r} is not a number")
        step = int(step_text)
        if step < 1:
            raise CronError(f"{spec.name}: step must be at least 1")
    if base == "*":
        low, high = spec.low, spec.high
    elif "-" in base:
        first, _, last = base.partition("-")
        low, high = spec.number(first), spec.number(last)
        if low > high:
            raise CronError(f"{spec.name}: range {base!r} runs backwards")
    else:
        low = spec.number(base)
        high = spec.high if slash else low
    values = set()
    value = low
    while value <= high:
        values.add(value)
        value += step
    return values
