"""A model's thoughts within its answer, and the answer without them.

An answer may begin with thoughts, one behind the other, each from an opening tag to the first
closing one. Many chat templates write the opening tag into the prompt, so that the answer holds the
closing one alone: everything before it is thought. What is never closed is thought to its end: no
answer is left of it. Tags that stand later in an answer, or between quotation marks, are its text.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator.endpoint.fields import REASONING, has_reasoning

TAGS = {
    "<think>": "</think>",  # DeepSeek, Qwen, GLM, MiniMax, Nemotron
    "<|channel>thought": "<channel|>",  # Gemma 4
    "<seed:think>": "</seed:think>",  # Seed-OSS
    "[think]": "[/think]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
}
"""Opening to closing tag, in lower case; as vLLM's and SGLang's reasoning parsers have them."""
_OPENING = re.compile("|".join(map(re.escape, TAGS)), re.IGNORECASE)
_CLOSING = re.compile("|".join(map(re.escape, TAGS.values())), re.IGNORECASE)
_CLOSING_OF = {
    opening: re.compile(re.escape(closing), re.IGNORECASE) for opening, closing in TAGS.items()
}
_BLANK = re.compile(r"\s*")
_QUOTES = ("'", '"', "`")


def strip_thoughts(content: str) -> str:
    """The answer without the thoughts that it begins with."""
    start = _end_of_opened(content)
    if start is None:
        start = _end_of_unopened(content)
    return content if start is None else content[_blank_end(content, start) :]


def strip_reasoning(message: dict[str, Any]) -> bool:
    """Take the model's thoughts out of a message, in place; whether there were any."""
    found = has_reasoning(message)
    for name in REASONING:
        message.pop(name, None)
    content = message.get("content")
    if isinstance(content, str) and (answer := strip_thoughts(content)) != content:
        message["content"] = answer
        found = True
    return found


def _end_of_opened(content: str) -> int | None:
    """Where the thoughts that the text opens with end; None where it opens with none."""
    end = None
    while opening := _OPENING.match(content, _blank_end(content, end or 0)):
        closing = _CLOSING_OF[opening[0].lower()].search(content, opening.end())
        end = closing.end() if closing else len(content)
    return end


def _end_of_unopened(content: str) -> int | None:
    """Where a thought ends that was opened in the prompt; None where there is none."""
    for closing in _CLOSING.finditer(content):
        around = content[max(closing.start() - 1, 0) : closing.end() + 1]
        if around[0] in _QUOTES and around[-1] in _QUOTES:
            continue
        return None if _OPENING.search(content, 0, closing.start()) else closing.end()
    return None


def _blank_end(content: str, start: int) -> int:
    blank = _BLANK.match(content, start)
    return blank.end() if blank else start
