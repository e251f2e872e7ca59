"""What a patch changes: which files, and what each of them is. Pure.

Patches of models and of others are odd: hunks whose counts are wrong, no line `diff --git`, text
before and after. `unidiff` reads what git would take; of the rest, the lines that name files count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

MAX_PARSED_CHARS = 50_000
"""Of a patch that `unidiff` is given: it takes a second for 2 MB, and a run may have hundreds."""
MAX_ADDED_CHARS = 200_000

_TEST_FOLDERS = frozenset({"tests", "__tests__", "e2e", "spec", "specs"})
_TEST_FOLDERS_AT_THE_TOP = frozenset({"test", "testing"})
"""Further down they may be a package's own, as in django/test and sympy/testing."""
_TEST_FILE = re.compile(
    r"(test_.*|.*_tests?|tests?|conftest)\.\w+|.*[.-](test|spec)\.\w+|.*[a-z0-9]Tests?\.\w+"
)
_REPRODUCTION = re.compile(
    r"(repro|mwe|poc|debug|verify|check|try|scratch|tmp|temp|demo|minimal|issue|bug|manual)"
    r"(?=[_\d.-]|duce|duction|$)"
    r"|.*[_-](repro(duce|duction)?|mwe|debug|demo|scratch)(?=[_.\d-]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ChangedFile:
    """One file that a patch changes."""

    path: str
    is_added: bool = False
    added: str = ""
    """The lines that it adds, without their marks."""

    @property
    def is_test(self) -> bool:
        """Whether its name is one of a test's, or of what tests are set up with."""
        path = PurePosixPath(self.path)
        folders = path.parts[:-1]
        if _TEST_FOLDERS.intersection(folders) or _TEST_FILE.fullmatch(path.name):
            return True
        return bool(folders) and folders[0] in _TEST_FOLDERS_AT_THE_TOP

    @property
    def is_reproduction(self) -> bool:
        """Whether it is new, and named as a script is that shows or checks an issue."""
        return self.is_added and _REPRODUCTION.match(PurePosixPath(self.path).name) is not None

    def with_more(self, other: ChangedFile) -> ChangedFile:
        """The same file, where a patch names it twice."""
        return replace(
            self,
            is_added=self.is_added or other.is_added,
            added=self.added + other.added,
        )


def files_of(patch: str) -> tuple[ChangedFile, ...]:
    """The files that a patch changes, each once, in the order in which they stand there.

    A file that is renamed has its new name, and one that is removed its old one.
    """
    found: dict[str, ChangedFile] = {}
    for file in filter(lambda file: file.path, _parsed(patch) or _scanned(patch)):
        before = found.get(file.path)
        found[file.path] = file if before is None else before.with_more(file)
    return tuple(found.values())


def _parsed(patch: str) -> Sequence[ChangedFile]:
    """Nothing where `unidiff` takes it for none."""
    if len(patch) > MAX_PARSED_CHARS:
        return ()
    try:
        return [_changed(file) for file in PatchSet(patch)]
    except (UnidiffParseError, ValueError, IndexError, AttributeError, TypeError):
        return ()


def _changed(file: PatchedFile) -> ChangedFile:
    added = "".join(line.value for hunk in file for line in hunk if line.is_added)
    path = _plain(file.path)
    return ChangedFile(path, bool(file.is_added_file), added[:MAX_ADDED_CHARS])


def _scanned(patch: str) -> Iterator[ChangedFile]:
    """By the lines that name files; what follows each, up to the next, is of that file."""
    path, is_added, added = "", False, list[str]()
    lines = patch.split("\n")
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        is_pair = line.startswith("--- ") and following.startswith("+++ ")
        if is_pair or line.startswith("diff --git "):
            if path:
                yield ChangedFile(path, is_added, "\n".join(added)[:MAX_ADDED_CHARS])
            path, added = path_named_by(line, following), []
            is_added = line.startswith("--- /dev/null")
        elif line.startswith("+") and not line.startswith("+++ "):
            added.append(line[1:])
    if path:
        yield ChangedFile(path, is_added, "\n".join(added)[:MAX_ADDED_CHARS])


def path_named_by(line: str, following: str) -> str:
    """The path in `diff --git a/X b/Y`, or in the two lines `--- a/X` and `+++ b/Y`."""
    if line.startswith("diff --git "):
        return _plain(line.rstrip().rpartition(" ")[2])
    old, new = (text[4:].partition("\t")[0].strip() for text in (line, following))
    return _plain(old if new == "/dev/null" else new)


def _plain(path: str) -> str:
    """Without git's quotes and its prefix."""
    path = path.strip().strip('"')
    return path[2:] if path[:2] in ("a/", "b/") else path.removeprefix("./")
