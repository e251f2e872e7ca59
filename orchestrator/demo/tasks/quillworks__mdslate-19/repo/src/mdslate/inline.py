"""Markup within a line, as HTML."""

from __future__ import annotations

import re
from html import escape

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*(.+?)\*\*")
_EMPHASIS = re.compile(r"\*(.+?)\*")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_TAKEN_OUT = re.compile("\0([0-9]+)\0")


def render_inline(text: str) -> str:
    """Code spans are taken out before and put back after: nothing in them is markup."""
    spans: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        spans.append(f"<code>{escape(match[1])}</code>")
        return f"\0{len(spans) - 1}\0"

    text = escape(_CODE.sub(take_out, text.replace("\0", "")))
    text = _STRONG.sub(r"<strong>\1</strong>", text)
    text = _EMPHASIS.sub(r"<em>\1</em>", text)
    text = _LINK.sub(r'<a href="\2">\1</a>', text)
    return _TAKEN_OUT.sub(lambda match: spans[int(match[1])], text)
