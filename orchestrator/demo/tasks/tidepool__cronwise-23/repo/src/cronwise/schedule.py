"""From an expression to points in time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from .errors import NeverFires
from .expression import CronExpression

# 29 February can be eight years away (1896 to 1904)
HORIZON = timedelta(days=366 * 9)


def next_after(expression: CronExpression, moment: datetime) -> datetime:
    """The first time the expression fires strictly after `moment`."""
    start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = start.date()
    while day - start.date() <= HORIZON:
        if expression.matches_day(day):
            earliest = start.time() if day == start.date() else time.min
            found = _first_time(expression, day, earliest)
            if found is not None:
                return found
        day += timedelta(days=1)
    raise NeverFires("no date fits this expression")


def _first_time(expression: CronExpression, day: date, earliest: time) -> datetime | None:
    for hour in sorted(expression.hours):
        for minute in sorted(expression.minutes):
            if time(hour, minute) >= earliest:
                return datetime.combine(day, time(hour, minute))
    return None


def upcoming(expression: CronExpression, moment: datetime, count: int) -> list[datetime]:
    """The next `count` times after `moment`."""
    times = []
    for _ in range(count):
        moment = next_after(expression, moment)
        times.append(moment)
    return times
