"""Why an image was not built, from what `docker build` has printed. Pure.

BuildKit ends with the output of the step that failed, its lines of the Dockerfile, and `ERROR: …`.
The classic builder ends with its error; what a command of its printed stands before that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from orchestrator.errors import one_line
from orchestrator.text import printed

MOST_CHARS = 240
"""Of the error, and of what the command printed."""
LAST_LINES = 3
"""Of what the command printed: the others are about what went well before."""

_ABOUT_A_GUI = "View build details: "
_STEP = re.compile(r" > (\[.*\] )?RUN .*:")
_STEP_ENDS = re.compile(r"-+")
_TIME = re.compile(r"(#\d+ )?\d+\.\d+ ")
"""BuildKit writes it before each line of a command's output."""
_CLASSIC_COMMAND_FAILED = re.compile(r"The command '.*' returned a non-zero code: \d+")
_CLASSIC_COMMAND_STARTS = " ---> Running in "
_CLASSIC_REMOVAL = "Removing intermediate container "


def build_failure(output: str) -> str:
    """In one line: the error, and the last lines of the command that failed, where one has."""
    lines = [line.rstrip() for line in printed(output).splitlines()]
    lines = [line for line in lines if line and not line.startswith(_ABOUT_A_GUI)]
    if not lines:
        return "`docker build` failed, and said nothing"
    error = _shortened(lines[-1].removeprefix("ERROR: "))
    said = _shortened(" ".join(_of_command(lines)[-LAST_LINES:]))
    return f"{error}; it printed: {said}" if said else error


def _of_command(lines: Sequence[str]) -> list[str]:
    """What the command printed that failed; empty where none did."""
    if _CLASSIC_COMMAND_FAILED.fullmatch(lines[-1]):
        starts = [n for n, line in enumerate(lines) if line.startswith(_CLASSIC_COMMAND_STARTS)]
        after = lines[starts[-1] + 1 : -1] if starts else []
        return [line for line in after if not line.startswith(_CLASSIC_REMOVAL)]
    steps = [n for n, line in enumerate(lines) if _STEP.fullmatch(line)]
    after = lines[steps[-1] + 1 :] if steps else []
    return [
        _TIME.sub("", line, count=1)
        for line in takewhile(lambda line: not _STEP_ENDS.fullmatch(line), after)
    ]


def _shortened(text: str) -> str:
    """In one line: its beginning and its end, of whole words, where it is too long."""
    line = one_line(text, len(text))
    if len(line) <= MOST_CHARS:
        return line
    half = MOST_CHARS // 2
    begin, end = line[:half], line[-half:]
    return f"{begin.rpartition(' ')[0] or begin} … {end.partition(' ')[2] or end}"
