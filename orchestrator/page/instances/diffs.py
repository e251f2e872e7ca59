"""Patches as a page shows them: file by file, the gold patch's beside a model's. Pure.

Nothing here raises: patches of models have hunks whose counts are wrong, and text around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.evidence.patches import path_named_by
from orchestrator.text import visible

MAX_LINES = 2_000
"""Of one file that are shown: a patch may hold what a program has made."""
MAX_LINE_CHARS = 1_000

HUNK, ADDED, REMOVED, CONTEXT, NOTE = "@", "+", "-", " ", "~"
"""Kinds of lines. A note is what is none of a hunk: a mode, a rename, text before a file."""

_HUNK = re.compile(r"@@ -[0-9]+(?:,([0-9]{1,9}))? \+[0-9]+(?:,([0-9]{1,9}))? @@")
_NOISE = ("diff --git ", "index ")
"""Lines that say nothing more than the file's name."""


@dataclass(frozen=True)
class FileDiff:
    """What a patch changes in one file."""

    path: str
    lines: Sequence[str]
    """The first MAX_LINES of them, with their marks, each at most MAX_LINE_CHARS long."""
    kinds: str
    """The kind of each line, a character each."""
    added: int
    removed: int
    left_out: int
    """Lines that there are more."""

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "text": "\n".join(self.lines),
            "kinds": self.kinds,
            "added": self.added,
            "removed": self.removed,
        }
        return found | ({"left_out": self.left_out} if self.left_out else {})


@dataclass(frozen=True)
class FilePair:
    """One file, as each of two patches changes it; None where one does not."""

    path: str
    ours: FileDiff | None
    gold: FileDiff | None

    def as_dict(self) -> dict[str, Any]:
        sides = {"ours": self.ours, "gold": self.gold}
        return {"path": self.path} | {k: v.as_dict() for k, v in sides.items() if v is not None}


def beside(patch: str, gold: str) -> tuple[FilePair, ...]:
    """The files of both patches: those of the patch in its order, then those of gold alone."""
    ours = {file.path: file for file in files_of_diff(patch)}
    golds = {file.path: file for file in files_of_diff(gold)}
    return tuple(FilePair(path, ours.get(path), golds.get(path)) for path in ours | golds)


def files_of_diff(patch: str) -> tuple[FileDiff, ...]:
    """The files of a patch, each once, as they come."""
    found: dict[str, _File] = {}
    for path, kind, line in _classified(patch):
        found.setdefault(path, _File()).add(kind, line)
    return tuple(file.diff(visible(path)) for path, file in found.items())


@dataclass
class _File:
    """The lines of one file, as they are met."""

    lines: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def add(self, kind: str, line: str) -> None:
        if not line.startswith(_NOISE) or kind != NOTE:
            self.lines.append(line)
            self.kinds.append(kind)

    def diff(self, path: str) -> FileDiff:
        return FileDiff(
            path,
            [_cut(line) for line in self.lines[:MAX_LINES]],
            "".join(self.kinds[:MAX_LINES]),
            self.kinds.count(ADDED),
            self.kinds.count(REMOVED),
            max(0, len(self.lines) - MAX_LINES),
        )


def _cut(line: str) -> str:
    more = len(line) - MAX_LINE_CHARS
    return visible(line) if more <= 0 else f"{visible(line[:MAX_LINE_CHARS])}… {more:,} more"


def _classified(patch: str) -> Iterator[tuple[str, str, str]]:
    """Path, kind and text of every line but those that only name a file."""
    path, hunk = "", _Hunk()
    lines = patch.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    skip = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if skip:
            skip = False
        elif line.startswith("diff --git "):
            path, hunk = path_named_by(line, following), _Hunk()
            yield path, NOTE, line
        elif not hunk.is_open and line.startswith("--- ") and following.startswith("+++ "):
            path, hunk, skip = path_named_by(line, following), _Hunk(), True
        elif begin := _HUNK.match(line):
            hunk = _Hunk.of(begin)
            yield path, HUNK, line
        else:
            yield path, hunk.take(line), line


@dataclass
class _Hunk:
    """How many lines of a hunk are still to come, by its own counts."""

    old: int = 0
    new: int = 0
    has_begun: bool = False

    @classmethod
    def of(cls, begin: re.Match[str]) -> _Hunk:
        old, new = (int(count or 1) for count in begin.groups())
        return cls(old, new, has_begun=True)

    @property
    def is_open(self) -> bool:
        return self.old > 0 or self.new > 0

    def take(self, line: str) -> str:
        """The kind of the next line. Where the counts were too low, its mark alone decides."""
        mark = line[:1] or CONTEXT
        if not self.has_begun or mark not in (ADDED, REMOVED, CONTEXT):
            return NOTE
        self.old -= mark != ADDED
        self.new -= mark != REMOVED
        return mark
