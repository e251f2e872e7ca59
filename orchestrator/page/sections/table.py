"""A table of words and numbers, as a template shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    title: str
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """What stands behind a picture. The first cell of a row is its name."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        """Whose first column holds names, and the others numbers."""
        first, *others = titles
        columns = (Column(first, is_number=False), *map(Column, others))
        return cls(caption, columns, tuple(map(tuple, rows)))
