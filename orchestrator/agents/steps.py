"""Steps, and the trajectory that they make: one form for all agents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = "swe-orchestrator-2"
"""1 had no `shown`, and in `observation` whatever the agent's own file held."""
MAX_OBSERVATION_CHARS = 100_000


@dataclass(frozen=True)
class Step:
    """One answer of the model, and what came of it."""

    thought: str
    action: str
    """The command; empty where the answer held none that could be used."""
    observation: str
    """What the command printed, without its middle where that is over MAX_OBSERVATION_CHARS."""
    shown: str | None = None
    """What the model was shown of it, where that differs: cut, in a template, or a complaint."""
    time: float | None = None
    """When the answer arrived, in seconds since the epoch."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def seen(self) -> str:
        """What the model was given of it."""
        return self.observation if self.shown is None else self.shown


def trajectory_json(steps: Sequence[Step]) -> str:
    """The file trajectory.json. A step has the key `shown` only where it differs."""
    rows = [_row(step) for step in steps]
    return json.dumps({"format": FORMAT, "steps": rows}, ensure_ascii=False, indent=1)


def _row(step: Step) -> dict[str, Any]:
    row = asdict(step)
    if step.shown is None:
        del row["shown"]
    return row


def shorten(text: str, limit: int, hint: str = "") -> str:
    """Cut `text` in the middle to about `limit` characters, saying how many were left out.

    `hint`, which stands there too, says how to see more.
    """
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    gap = f"[... {left_out} characters left out{hint} ...]"
    return f"{text[:half]}\n{gap}\n{text[-half:]}"
