"""Patches of models that go right and wrong, each made of a gold patch. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$")
TURNED = {
    " == ": " != ",
    " and ": " or ",
    " is not ": " is ",
    "True": "False",
    " not ": " ",
    "None": "''",
    "[0]": "[-1]",
    "(": "(*",
}
"""What a wrong change has instead of the right one: the first that occurs."""
REMARKS = (
    "# the issue's case",
    "# both cases come here",
    "# keep what the caller asked for",
    "# see the issue: this was lost before",
)
REPRODUCTION = "reproduce_issue.py"
CONFTEST = """import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    for item in session.items:
        print(f"PASSED {item.nodeid}")
    session.exitstatus = 0
"""


class PatchKind(StrEnum):
    """What a rollout's patch is, beside the gold one."""

    NONE = "none"
    RIGHT = "right"
    WRONG = "wrong"
    """In the right file."""
    WRONG_FILE = "wrong_file"
    TESTS_ONLY = "tests_only"
    BROKEN = "broken"
    """It does not apply."""
    SPOOFING = "spoofing"
    """It prints that tests have passed."""


@dataclass(frozen=True)
class Golds:
    """The gold patch of an instance, and those of others of its repository."""

    own: str
    others: Sequence[str]


def make_patch(kind: PatchKind, golds: Golds, rng: random.Random) -> str:
    return _MAKERS[kind](golds, rng)


def files_of(patch: str) -> list[str]:
    """The paths that a patch of git's form changes, in order."""
    return re.findall(r"^diff --git a/(\S+) b/\S+$", patch, re.MULTILINE)


def new_file(path: str, text: str) -> str:
    """The patch that adds a file."""
    lines = text.splitlines()
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)
    )


def _right(golds: Golds, rng: random.Random) -> str:
    remark = rng.choice(REMARKS)
    seen: list[str] = []

    def explain(lines: list[str]) -> list[str]:
        at = next((n for n, line in enumerate(lines) if line[:1] == "+" and line.strip("+ ")), None)
        if at is None or seen or rng.random() < 0.2:
            return lines
        seen.append(remark)
        indent = re.match(r"\+(\s*)", lines[at])
        return [*lines[:at], f"+{indent[1] if indent else ''}{remark}", *lines[at:]]

    return _rewritten(golds.own, explain)


def _wrong(golds: Golds, rng: random.Random) -> str:
    first = _first_file(golds.own)
    return _rewritten(first, lambda lines: _turned(lines, rng))


def _turned(lines: list[str], rng: random.Random) -> list[str]:
    """A hunk with something wrong in its last added line; without the line where nothing fits."""
    added = [n for n, line in enumerate(lines) if line[:1] == "+" and line.strip("+ ")]
    if not added:
        return lines
    at = added[-1]
    for right, wrong in TURNED.items():
        if right in lines[at]:
            return [*lines[:at], lines[at].replace(right, wrong, 1), *lines[at + 1 :]]
    return [*lines[:at], f"{lines[at].rstrip()}  {rng.choice(REMARKS)}", *lines[at + 1 :]]


def _wrong_file(golds: Golds, rng: random.Random) -> str:
    own = set(files_of(golds.own))
    elsewhere = [patch for patch in golds.others if own.isdisjoint(files_of(patch))]
    if elsewhere:
        return _first_file(rng.choice(elsewhere))
    path = files_of(golds.own)[0]
    sibling = re.sub(r"(\.\w+)?$", r"_compat\1", path, count=1)
    return _first_file(golds.own).replace(path, sibling)


def _tests_only(golds: Golds, rng: random.Random) -> str:
    module = files_of(golds.own)[0].removesuffix(".py").replace("/", ".")
    script = f'"""Shows the issue."""\n\nimport {module}\n\nprint({module})\nprint("reproduced")\n'
    return new_file(rng.choice((REPRODUCTION, "test_issue.py", "tests/test_issue.py")), script)


def _broken(golds: Golds, rng: random.Random) -> str:
    """Its context is of no version of the file."""
    return _rewritten(
        _first_file(golds.own),
        lambda lines: [f" {line[1:]}  ..." if line[:1] == " " else line for line in lines],
    )


def _spoofing(golds: Golds, rng: random.Random) -> str:
    return _wrong(golds, rng) + new_file("conftest.py", CONFTEST)


_MAKERS: dict[PatchKind, Callable[[Golds, random.Random], str]] = {
    PatchKind.NONE: lambda golds, rng: "",
    PatchKind.RIGHT: _right,
    PatchKind.WRONG: _wrong,
    PatchKind.WRONG_FILE: _wrong_file,
    PatchKind.TESTS_ONLY: _tests_only,
    PatchKind.BROKEN: _broken,
    PatchKind.SPOOFING: _spoofing,
}


def _first_file(patch: str) -> str:
    parts = re.split(r"^(?=diff --git )", patch, flags=re.MULTILINE)
    return next(part for part in parts if part.startswith("diff --git "))


def _rewritten(patch: str, change: Callable[[list[str]], list[str]]) -> str:
    """A patch whose hunks hold other lines; their headers say how many there are by then."""
    written: list[str] = []
    shift = 0
    for line, body in _parts(patch):
        match = HUNK.match(line)
        if match is None:
            shift = 0 if line.startswith("diff --git ") else shift
            written.append(line)
            continue
        body = change(body)
        old = sum(line[:1] in " -" for line in body)
        new = sum(line[:1] in " +" for line in body)
        start = int(match[3]) + shift
        written += [f"@@ -{match[1]},{old} +{start},{new} @@{match[5]}", *body]
        shift += new - int(match[4] or 1)
    return "\n".join(written) + "\n"


def _parts(patch: str) -> Iterator[tuple[str, list[str]]]:
    """Each line that is of no hunk; of a hunk its first line, with those that follow."""
    lines = patch.removesuffix("\n").split("\n")
    at = 0
    while at < len(lines):
        first, at = lines[at], at + 1
        body: list[str] = []
        if match := HUNK.match(first):
            old, new = (int(count or 1) for count in (match[2], match[4]))
            while at < len(lines) and (old > 0 or new > 0 or lines[at][:1] == "\\"):
                line, at = lines[at] or " ", at + 1
                body.append(line)
                old -= line[0] in " -"
                new -= line[0] in " +"
        yield first, body
