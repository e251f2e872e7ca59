"""What the doctor says: a line for each finding as it comes, and at the end what to mend first."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.doctor.check import CheckFinding, Severity
from orchestrator.doctor.examine import Examined
from orchestrator.report.words import counted
from orchestrator.text import printable

STYLES = {
    Severity.PASS: "green",
    Severity.WARN: "yellow",
    Severity.FAIL: "bold red",
    Severity.SKIPPED: "dim",
}
MARKS = {Severity.PASS: "ok", Severity.WARN: "warn", Severity.FAIL: "FAIL", Severity.SKIPPED: "-"}
NAME_WIDTH = 18
"""Of the column with a check's name."""
INDENT = 5 + NAME_WIDTH + 1
"""Of what was found."""
NARROWEST = 60
"""Columns of a terminal in which what was found still has room beside the names."""
_COMMAND = re.compile(r"`[^`]*`|--[\w-]+ \S+")
"""A command, or an option and its value."""


def print_examined(console: Console, examined: Examined) -> None:
    """A check's findings; its name stands at the first of them. `conclusion` counts those that are
    skipped."""
    if examined.level is Severity.SKIPPED:
        return
    name = examined.check.name
    for finding in examined.findings:
        for line in _lines(name, finding, console.width if console.is_terminal else 0):
            console.print(line, soft_wrap=True, highlight=False)
        name = ""


def _lines(name: str, finding: CheckFinding, width: int) -> Iterator[Text]:
    """In a terminal of a width, what is longer goes on below itself; 0: a line each."""
    mark = Text(f"{MARKS[finding.level]:<5}", STYLES[finding.level])
    first, *more = _broken(printable(finding.what), width)
    yield mark + Text(f"{name:<{NAME_WIDTH}} {first}", style="default")
    for line in more:
        yield Text(f"{'':<{INDENT}}{line}", style="default")
    if finding.cure:
        for number, line in enumerate(_broken(printable(finding.cure), width, room=2)):
            yield Text(f"{'':<{INDENT}}{' ' if number else '→'} {line}", style="cyan")


def _broken(text: str, width: int, room: int = 0) -> list[str]:
    """Lines that fit between the indent, with so much room beside it, and the width. A command is
    never broken, so that it can be copied."""
    if width < NARROWEST:
        return [text]
    held = _COMMAND.sub(lambda command: command.group().replace(" ", "\0"), text)
    lines = textwrap.wrap(
        held, width - INDENT - room, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines] or [text]


def conclusion(all_examined: Sequence[Examined]) -> str:
    """One line: how many of which level, and what is to be mended first."""
    levels = [examined.level for examined in all_examined]
    fails, warnings = levels.count(Severity.FAIL), levels.count(Severity.WARN)
    if fails:
        first = next(examined for examined in all_examined if examined.level is Severity.FAIL)
        also = f", {counted(warnings, 'warning')}" if warnings else ""
        skipped = levels.count(Severity.SKIPPED)
        then = f"; {counted(skipped, 'check')} can be made after that" if skipped else ""
        return f"{counted(fails, 'check')} failed{also}: mend {first.check.name} first{then}"
    if warnings:
        return f"nothing failed, {counted(warnings, 'warning')}"
    return f"all is well: {counted(levels.count(Severity.PASS), 'check')} passed"


def as_dict(all_examined: Sequence[Examined]) -> dict[str, Any]:
    """For --json."""
    return {
        "conclusion": conclusion(all_examined),
        "checks": [
            {
                "name": examined.check.name,
                "level": examined.level,
                "seconds": round(examined.seconds, 2),
                "findings": [
                    {"level": found.level, "what": found.what, "cure": found.cure}
                    for found in examined.findings
                ],
            }
            for examined in all_examined
        ],
    }
