"""Short English for the common expressions."""

from __future__ import annotations

from .expression import ALIASES, CronExpression
from .fields import WEEKDAYS


def describe(text: str) -> str:
    """A few words about an expression; the expression itself if we have none."""
    expanded = ALIASES.get(text.strip().lower(), text)
    expression = CronExpression.parse(expanded)
    minute, hour, *rest = expanded.split()
    if rest == ["*", "*", "*"] and hour == "*":
        if minute == "*":
            return "every minute"
        if minute.startswith("*/"):
            return f"every {minute[2:]} minutes"
        if minute.isdecimal():
            return f"every hour at :{int(minute):02}"
    if minute.isdecimal() and hour.isdecimal() and rest[:2] == ["*", "*"]:
        return f"{_days(expression)} at {int(hour):02}:{int(minute):02}"
    return text


def _days(expression: CronExpression) -> str:
    if len(expression.weekdays) == 7:
        return "every day"
    names = [WEEKDAYS[number].capitalize() for number in sorted(expression.weekdays)]
    return "every " + ", ".join(names)
