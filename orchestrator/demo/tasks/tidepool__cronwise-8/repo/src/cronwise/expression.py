"""A whole expression."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from . import fields
from .errors import CronError

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


@dataclass(frozen=True)
class CronExpression:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    # a field that starts with a star doesn't restrict the day by itself
    any_day: bool = False
    any_weekday: bool = False

    @classmethod
    def parse(cls, text: str) -> CronExpression:
        parts = ALIASES.get(text.strip().lower(), text).split()
        if len(parts) != 5:
            raise CronError(f"expected 5 fields, found {len(parts)}: {text!r}")
        minute, hour, day, month, weekday = parts
        weekdays = fields.parse_field(weekday, fields.DAY_OF_WEEK)
        return cls(
            minutes=fields.parse_field(minute, fields.MINUTE),
            hours=fields.parse_field(hour, fields.HOUR),
            days=fields.parse_field(day, fields.DAY_OF_MONTH),
            months=fields.parse_field(month, fields.MONTH),
            weekdays=frozenset(value % 7 for value in weekdays),
            any_day=day.startswith("*"),
            any_weekday=weekday.startswith("*"),
        )

    def matches_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        day_fits = day.day in self.days
        weekday_fits = day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return day_fits and weekday_fits
        return day_fits or weekday_fits
