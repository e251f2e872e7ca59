"""Blocks as HTML."""

from __future__ import annotations

from html import escape

from .blocks import Block, CodeBlock, Heading, ItemList, parse_blocks
from .inline import render_inline
from .slug import slugify, unique


def render(source: str) -> str:
    taken: set[str] = set()
    return "".join(_render_block(block, taken) + "\n" for block in parse_blocks(source))


def _render_block(block: Block, taken: set[str]) -> str:
    if isinstance(block, Heading):
        anchor = unique(slugify(block.text), taken)
        inner = render_inline(block.text)
        return f'<h{block.level} id="{anchor}">{inner}</h{block.level}>'
    if isinstance(block, CodeBlock):
        return f"<pre><code>{escape(block.text)}</code></pre>"
    if isinstance(block, ItemList):
        items = "".join(f"<li>{render_inline(item)}</li>" for item in block.items)
        return f"<ul>{items}</ul>"
    return f"<p>{render_inline(block.text)}</p>"
