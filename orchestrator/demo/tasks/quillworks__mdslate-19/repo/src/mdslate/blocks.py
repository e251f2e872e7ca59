"""The outer structure: which lines form a heading, a list, a code block."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_ITEM = re.compile(r"[-*]\s+(.*)")


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class ItemList:
    items: tuple[str, ...]


@dataclass(frozen=True)
class CodeBlock:
    text: str


Block = Heading | Paragraph | ItemList | CodeBlock


def parse_blocks(source: str) -> list[Block]:
    blocks: list[Block] = []
    lines = source.splitlines()
    position = 0
    while position < len(lines):
        line = lines[position]
        if not line.strip():
            position += 1
        elif line.startswith("```"):
            end = position + 1
            while end < len(lines) and not lines[end].startswith("```"):
                end += 1
            blocks.append(CodeBlock("\n".join(lines[position + 1 : end])))
            position = end + 1
        elif heading := _HEADING.fullmatch(line):
            blocks.append(Heading(len(heading[1]), heading[2]))
            position += 1
        else:
            is_list = _ITEM.fullmatch(line) is not None
            end = position
            while end < len(lines) and _continues(lines[end], is_list):
                end += 1
            chunk = [text.strip() for text in lines[position:end]]
            if is_list:
                blocks.append(ItemList(tuple(_ITEM.fullmatch(text)[1] for text in chunk)))
            else:
                blocks.append(Paragraph(" ".join(chunk)))
            position = end
    return blocks


def _continues(line: str, is_list: bool) -> bool:
    if not line.strip() or line.startswith("```") or _HEADING.fullmatch(line):
        return False
    return (_ITEM.fullmatch(line) is not None) == is_list
