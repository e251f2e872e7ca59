"""Blocks as plain text, for mails and terminals."""

from __future__ import annotations

import re

from .blocks import Block, CodeBlock, Heading, ItemList, parse_blocks

_CODE = re.compile(r"`([^`]+)`")
_STARS = re.compile(r"(\*\*?)(.+?)\1")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_TAKEN_OUT = re.compile("\0([0-9]+)\0")


def to_text(source: str) -> str:
    blocks = [_block_text(block) for block in parse_blocks(source)]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _block_text(block: Block) -> str:
    if isinstance(block, Heading):
        title = _line_text(block.text)
        return title + "\n" + ("=" if block.level == 1 else "-") * len(title)
    if isinstance(block, CodeBlock):
        return "\n".join("    " + line for line in block.text.split("\n"))
    if isinstance(block, ItemList):
        return "\n".join("- " + _line_text(item) for item in block.items)
    return _line_text(block.text)


def _line_text(text: str) -> str:
    spans: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        spans.append(match[1])
        return f"\0{len(spans) - 1}\0"

    text = _CODE.sub(take_out, text.replace("\0", ""))
    # twice, for emphasis within strong
    text = _STARS.sub(r"\2", _STARS.sub(r"\2", text))
    text = _LINK.sub(r"\1 (\2)", text)
    return _TAKEN_OUT.sub(lambda match: spans[int(match[1])], text)
