"""A rollout's trajectory.json, read as far as it can be. Pure.

It may be large (tens of MB), cut off by a full disk, or of an older version: every step that is
there is taken, and what is odd is one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from orchestrator.agents.steps import FORMAT, Step
from orchestrator.text import writable

READABLE = (FORMAT, "swe-orchestrator-1")


def read_steps(data: bytes) -> tuple[Sequence[Step], str]:
    """The steps of a file trajectory.json, and what is wrong with it; empty where nothing is."""
    found, problem = _parse(data)
    if not isinstance(found, dict):
        return (), problem or "it holds no object of JSON"
    rows = found.get("steps")
    if not isinstance(rows, list):
        return (), problem or "it holds no list of steps"
    form = found.get("format")
    if not problem and form not in READABLE:
        problem = f"its format is {form!r}, and this version reads {', '.join(READABLE)}"
    steps = [_step(row) for row in rows if isinstance(row, dict)]
    if not problem and len(steps) < len(rows):
        problem = f"{len(rows) - len(steps)} of its {len(rows)} steps are none"
    return steps, problem


def _parse(data: bytes) -> tuple[Any, str]:
    """What JSON says; of a file that was cut off, what stands before."""
    try:
        return from_json(data, cache_strings="keys"), ""
    except ValueError as error:
        problem = f"it is no whole JSON ({error})"
    try:
        # Python reads what else there is: half a surrogate pair, a byte order mark, odd bytes
        return json.loads(data.decode("utf-8-sig", "replace")), ""
    except (ValueError, RecursionError):
        pass
    try:
        return from_json(data, allow_partial=True), problem
    except ValueError:
        return None, problem


def _step(row: Mapping[str, Any]) -> Step:
    shown = row.get("shown")
    return Step(
        thought=_text(row.get("thought")),
        action=_text(row.get("action")),
        observation=_text(row.get("observation")),
        shown=_text(shown) if shown is not None else None,
        time=_number(row.get("time")),
        prompt_tokens=_count(row.get("prompt_tokens")),
        completion_tokens=_count(row.get("completion_tokens")),
    )


def _text(value: object) -> str:
    """Text, or what stands there instead as JSON has it."""
    if not isinstance(value, str):
        value = "" if value is None else json.dumps(value, default=str)
    return writable(value)


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None
