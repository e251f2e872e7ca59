"""Shares, intervals and numbers drawn in characters, for terminals and Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

BAR_WIDTH = 20
_DIGITS = {
    "0": ("###", "# #", "# #", "# #", "###"),
    "1": (" # ", "## ", " # ", " # ", "###"),
    "2": ("###", "  #", "###", "#  ", "###"),
    "3": ("###", "  #", "###", "  #", "###"),
    "4": ("# #", "# #", "###", "  #", "  #"),
    "5": ("###", "#  ", "###", "  #", "###"),
    "6": ("###", "#  ", "###", "# #", "###"),
    "7": ("###", "  #", "  #", "  #", "  #"),
    "8": ("###", "# #", "###", "# #", "###"),
    "9": ("###", "# #", "###", "  #", "###"),
    ".": (" ", " ", " ", " ", "#"),
    "%": ("# #", "  #", " # ", "#  ", "# #"),
}
_HALVES = {"  ": " ", "# ": "▀", " #": "▄", "##": "█"}
"""Two dots, one above the other, to the character that shows both."""


def bar(part: int, whole: int, width: int = BAR_WIDTH) -> str:
    """`part` of `whole` as a bar of block characters, to an eighth of a cell."""
    eighths = round(8 * width * part / whole) if whole else 0
    full, rest = divmod(eighths, 8)
    partial = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + partial).ljust(width, "░")


def cells_of(parts: Sequence[int], width: int) -> list[int]:
    """`width` cells shared out in proportion to the parts; none that counts at all goes without.

    `width` must be at least the number of parts.
    """
    whole = sum(parts)
    if not whole:
        return [0] * len(parts)
    cells = [max(1, width * part // whole) if part else 0 for part in parts]
    while (left := width - sum(cells)) != 0:
        # the part that is furthest from its share gives, or takes, one
        lacks = [part * width / whole - cell for part, cell in zip(parts, cells, strict=True)]
        if left > 0:
            cells[lacks.index(max(lacks))] += 1
        else:
            may_give = [
                lack if cell > 1 else width for lack, cell in zip(lacks, cells, strict=True)
            ]
            cells[may_give.index(min(may_give))] -= 1
    return cells


def interval_bar(low: float, value: float, high: float, width: int) -> str:
    """An interval of shares on a line from 0 to 1, with a dot at the value: `┄┄├━━●━━━┤┄┄┄`."""
    first, at, last = (round(share * (width - 1)) for share in (low, value, high))
    cells = ["┄"] * width
    cells[first : last + 1] = "━" * (last + 1 - first)
    cells[first], cells[last] = "├", "┤"
    cells[at] = "●"
    return "".join(cells)


def large(text: str) -> tuple[str, str, str]:
    """A number such as `66.7%` in characters three lines high; all three are of one length."""
    dots = [" ".join(_DIGITS[char][row] for char in text) for row in range(5)]
    dots.append(" " * len(dots[0]))
    upper, middle, lower = (
        "".join(_HALVES[above + below] for above, below in zip(*dots[row : row + 2], strict=True))
        for row in (0, 2, 4)
    )
    return upper, middle, lower
