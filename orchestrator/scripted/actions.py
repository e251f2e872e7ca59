"""What personas do: a shell command, a change of a file, the end of the work.

A protocol says in which words. A patch can be given as changes of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SUBMIT = "submit"


@dataclass(frozen=True)
class Edit:
    """One change with the edit tool."""

    path: str
    """Relative to the repository."""
    old: str
    new: str

    @property
    def command(self) -> str:
        """As it is written in plain text. Both texts end with a line break."""
        return (
            f"edit {self.path} <<'END_OF_EDIT'\n<<<<<<< SEARCH\n{self.old}=======\n{self.new}"
            ">>>>>>> REPLACE\nEND_OF_EDIT"
        )


@dataclass(frozen=True)
class Incomplete:
    """A call without its required parameters; in a form without calls, an answer without action."""

    action: str | Edit


Action = str | Edit | Incomplete
"""A shell command (`SUBMIT` among them), a change of a file, or either as it fails."""


def edits_of(patch: str) -> Sequence[Edit]:
    """A patch to files that are there already, as edits of whole lines, one a hunk."""
    found: list[Edit] = []
    path, old, new, in_hunk = "", "", "", False

    def flush() -> None:
        nonlocal old, new
        if old or new:
            found.append(Edit(path, old, new))
        old = new = ""

    for line in patch.split("\n")[:-1]:
        if line.startswith("diff --git"):
            flush()
            path, in_hunk = line.split(" b/", 1)[1].strip(), False
        elif line.startswith("@@"):
            flush()
            in_hunk = True
        elif in_hunk:
            line += "\n"
            old += line[1:] if line[0] in " -" else ""
            new += line[1:] if line[0] in " +" else ""
    flush()
    return found
