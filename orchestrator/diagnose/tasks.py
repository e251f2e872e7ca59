"""What is asked: tools, a long system prompt, an issue, and what a sandbox would answer. Pure.

Both long texts are files beside this one, in our own words, and as large as those that agents of
large frameworks get: some four thousand tokens together. `fit` cuts them to what a context holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MARGIN = 0.05
"""Of the context is left free: lengths in tokens are estimated."""
MAX_ANSWER_TOKENS = 4096
TURNS = 6
FEWEST_TURNS = 2
RESULT_CHARS = 900
SHORTEST_RESULT_CHARS = 100
SMALL_TOOLS = 2
"""Of the smallest question: the first ones of the file."""
_BASE_CHARS = 900
"""The form of an answer, the issue, and what a chat template adds."""
_ANSWER_CHARS = 300
"""Of a usual answer in a loop."""
_TOOLS_SHARE = 0.45
"""Of the room for a prompt that tools may take."""


class Detail(StrEnum):
    """How much of its tools a model is told."""

    FULL = "everything"
    NAMES = "no descriptions"
    REQUIRED = "no descriptions, required parameters alone"


@dataclass(frozen=True)
class Sizes:
    """Of what is asked at levels 2 and 3, made to fit into a context."""

    context: int
    """Tokens, of prompt and answer."""
    chars_per_token: float
    max_tokens: int
    """Of an answer, where the profile says nothing."""
    detail: Detail
    tools: int
    handbook_chars: int
    turns: int
    result_chars: int
    result_tokens: int

    @property
    def shortened(self) -> str:
        """What was left out, in words; empty where everything fits."""
        left_out = []
        if self.detail is not Detail.FULL:
            left_out.append(f"tools with {self.detail}")
        if self.tools < len(all_tools()):
            left_out.append(f"{self.tools} tools")
        if self.handbook_chars < len(_handbook()):
            left_out.append(f"{self.handbook_chars / len(_handbook()):.0%} of the system prompt")
        if self.turns < TURNS:
            left_out.append(f"loops of {self.turns} turns")
        return ", ".join(left_out)


def fit(context: int, chars_per_token: float) -> Sizes:
    """The most that a context of so many tokens holds, with room for every answer of a loop."""
    max_tokens = min(MAX_ANSWER_TOKENS, context // 6)
    room = int(chars_per_token * (context * (1 - MARGIN) - max_tokens)) - _BASE_CHARS
    detail = next(
        (d for d in Detail if _chars(tools_for(d)) <= _TOOLS_SHARE * room), Detail.REQUIRED
    )
    shortest_loop = FEWEST_TURNS * (_ANSWER_CHARS + SHORTEST_RESULT_CHARS)
    count = len(all_tools())
    while count > SMALL_TOOLS and _chars(tools_for(detail, count)) + shortest_loop > room:
        count -= 1
    left = room - _chars(tools_for(detail, count))
    turns = TURNS
    while turns > FEWEST_TURNS and turns * (_ANSWER_CHARS + SHORTEST_RESULT_CHARS) > left:
        turns -= 1
    result = max(SHORTEST_RESULT_CHARS, min(RESULT_CHARS, left // turns - _ANSWER_CHARS))
    left -= turns * (result + _ANSWER_CHARS)
    result_tokens = math.ceil(result / chars_per_token)
    kept = len(handbook(left))
    measured = (context, chars_per_token, max_tokens)
    return Sizes(*measured, detail, count, kept, turns, result, result_tokens)


@cache
def all_tools() -> tuple[dict[str, Any], ...]:
    """The file's entries."""
    text = Path(__file__).with_name("tools.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text))


def tools_for(detail: Detail, count: int | None = None) -> list[dict[str, Any]]:
    """As a request has them; `count` of them, all where it is None."""
    return [_function(tool, detail) for tool in all_tools()[:count]]


def _function(tool: dict[str, Any], detail: Detail) -> dict[str, Any]:
    properties, required = {}, []
    for name, given in tool["parameters"].items():
        if given.get("required"):
            required.append(name)
        elif detail is Detail.REQUIRED:
            continue
        left_out = {"required"} if detail is Detail.FULL else {"required", "description"}
        properties[name] = {key: value for key, value in given.items() if key not in left_out}
    parameters = {"type": "object", "properties": properties, "required": required}
    described = {"description": tool["description"]} if detail is Detail.FULL else {}
    return {
        "type": "function",
        "function": {"name": tool["name"], **described, "parameters": parameters},
    }


def manual(tools: Sequence[dict[str, Any]]) -> str:
    """The same tools for people and models that are told in text."""
    lines = ["# Commands beside the shell's own", ""]
    for tool in tools:
        function = tool["function"]
        lines.append(f"{function['name']}: {function.get('description', '')}".rstrip())
        for name, given in function["parameters"]["properties"].items():
            needed = "" if name in function["parameters"]["required"] else ", optional"
            words = ", ".join(given["enum"]) if "enum" in given else given.get("description", "")
            lines.append(f"  {name} ({given['type']}{needed}) {words}".rstrip())
    return "\n".join(lines)


@cache
def _handbook() -> str:
    return Path(__file__).with_name("handbook.md").read_text(encoding="utf-8")


def handbook(chars: int | None = None) -> str:
    """The long system prompt, or its paragraphs from the start that `chars` hold."""
    text = _handbook()
    if chars is None or chars >= len(text):
        return text
    kept = ""
    for paragraph in text.split("\n\n"):
        if len(kept) + len(paragraph) + 2 > chars:
            break
        kept += f"{paragraph}\n\n"
    return kept


def probe_text() -> str:
    """Some of both, to see how many characters of it are a token."""
    return handbook()[:1500] + json.dumps(tools_for(Detail.FULL))[:1500]


ISSUES = (
    ("parse_rate", "rates.py", "a rate that is written as `12,5 %` is read as 125"),
    ("total_of", "ledger.py", "the total of an empty ledger is None and should be 0"),
    ("next_run", "schedule.py", "on the last day of a month the next run is a month late"),
    ("slug_of", "slug.py", "two headings that differ in their accents get one and the same anchor"),
    ("merge_rows", "tables.py", "rows with equal keys are dropped, and the last one should win"),
    ("read_header", "importer.py", "a file that begins with a byte order mark loses a column"),
    ("round_half", "money.py", "2.675 becomes 2.67 in the report and 2.68 on the invoice"),
    ("wrap_line", "plain.py", "a word that is longer than the line is never shown"),
    ("find_route", "routes.py", "a parcel without a postcode is sent to the first depot"),
    ("open_entry", "journal.py", "an entry with a negative amount can't be opened again"),
    ("close_batch", "batches.py", "closing a batch twice books its fee twice"),
    ("label_for", "labels.py", "labels of a street with a slash in its name stay blank"),
)
"""A function, its file, and what is wrong. Samples with temperature 0 must not be one sample."""


def first_step(number: int) -> str:
    """The smallest question: one obvious call."""
    name, file, _ = ISSUES[number % len(ISSUES)]
    return (
        f"The project lies in /workspace/project. Find where `{name}` is defined: run "
        f"grep -rn 'def {name}' src/{file}"
    )


def issue(number: int) -> str:
    """The task of a conversation."""
    name, file, wrong = ISSUES[number % len(ISSUES)]
    return (
        f"The project lies in /workspace/project. Someone reported: with `{name}` in src/{file}, "
        f"{wrong}. Mend it, one call at a time. Begin."
    )


def complaint(why: str) -> str:
    """What an agent says to an answer that it could not use."""
    return f"Your answer could not be used: {why}. Answer again, in the form that was asked for."


_LISTING = "\n".join(
    f"src/{file}:{12 + 9 * n}:def {name}(" for n, (name, file, _) in enumerate(ISSUES)
)
_SOURCE = "\n".join(
    f"{number:4}  {line}"
    for number, line in enumerate(
        (
            "from decimal import Decimal",
            "",
            "",
            "def parse(text: str, *, limit: int = 100) -> Decimal:",
            '    """The value that a text stands for. Raises ValueError."""',
            '    cleaned = text.strip().replace(",", "")',
            '    if cleaned.endswith("%"):',
            "        return Decimal(cleaned[:-1].strip()) / 100",
            "    value = Decimal(cleaned)",
            "    if abs(value) > limit:",
            '        raise ValueError(f"{text!r} is over {limit}")',
            "    return value",
        ),
        start=1,
    )
)
_FAILURE = (
    "FAILED tests/test_it.py::test_every_form_is_read - AssertionError: assert 125 == 12.5\n"
    "    def test_every_form_is_read():\n>       assert parse('12,5 %') == 12.5\n"
    "E       AssertionError: assert 125 == 12.5\n1 failed, 14 passed in 0.31s"
)
_RESULTS = (
    (r"submit|COMPLETE_TASK", "Not taken yet: " + _FAILURE + "\nMend this too, then submit."),
    (r"pytest|run_tests|unittest", _FAILURE),
    (r"replace|insert|create|SEARCH|sed -i|cat >|tee ", "Changed. The lines around:\n" + _SOURCE),
    (r"think|task_tracker", "Noted."),
    (r"grep|search|find |ls\b|delegate", _LISTING),
    (r"view|cat |head|tail|sed -n|less", _SOURCE),
)
"""What a call or command is known by, to what it brings."""


def result_of(action: str, chars: int = RESULT_CHARS) -> str:
    """What a sandbox would answer to a call or a command. No submission ends a loop: it has to
    reach its last turn with every model."""
    found = next((text for sign, text in _RESULTS if re.search(sign, action)), "(no output)")
    return found[:chars]


def _chars(tools: Sequence[dict[str, Any]]) -> int:
    return len(json.dumps(tools))
