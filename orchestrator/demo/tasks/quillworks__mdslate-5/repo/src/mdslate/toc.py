"""The table of contents; its anchors are those of the HTML."""

from __future__ import annotations

from .blocks import Heading, parse_blocks
from .slug import slugify, unique


def contents(source: str) -> list[tuple[int, str, str]]:
    """(level, title, anchor) of every heading, in order."""
    taken: set[str] = set()
    return [
        (block.level, block.text, unique(slugify(block.text), taken))
        for block in parse_blocks(source)
        if isinstance(block, Heading)
    ]
