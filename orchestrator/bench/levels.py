"""What `bench` measured at one level, and the numbers that follow from it. Pure.

Seconds count from the level's start. The warm-up, in which every agent gets its first answer and
the server's cache its prefixes, lies before the window and counts for nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.report.stats import quantiles

PARTS = 10
"""Of a window, whose differences say how sure its mean is."""


@dataclass(frozen=True)
class MeasuredAnswer:
    """One step of one agent that came to an answer."""

    wanted_s: float
    """When the agent first asked; refusals and errors may lie before `sent_s`."""
    sent_s: float
    first_token_s: float
    ended_s: float
    pause_s: float
    """Until the agent's next step: its command runs."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    """Of the prompt, as the answer says; most servers don't."""

    @property
    def cycle_s(self) -> float:
        """What one step of a rollout takes."""
        return self.ended_s - self.wanted_s + self.pause_s


@dataclass(frozen=True)
class Level:
    """So many agents at once, measured for a while."""

    at_once: int
    window: tuple[float, float]
    answers: tuple[MeasuredAnswer, ...]
    """All of them, also those before and after the window."""
    rejected: int = 0
    """Requests that the server was too busy for (429, 503); they were sent again."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """What else went wrong, by kind; those requests were sent again too."""
    server: ServerMetrics | None = None
    """What the server's own counters grew by in the window; None where it has none."""
    warm: bool = True
    """False: the warm-up's time ran out before every agent had an answer."""

    @property
    def seconds(self) -> float:
        return self.window[1] - self.window[0]

    @property
    def counted(self) -> list[MeasuredAnswer]:
        """Those that ended in the window, in that order."""
        start, end = self.window
        inside = (answer for answer in self.answers if start <= answer.ended_s <= end)
        return sorted(inside, key=lambda answer: answer.ended_s)

    @property
    def generated_per_s(self) -> float | None:
        """Tokens of complete answers. One that lasts past the window's edge counts by its share.

        None where no answer ended in the window: nothing was measured, which is not zero.
        """
        if not self.counted:
            return None
        return self._generated(*self.window) / self.seconds

    @property
    def generated_error(self) -> float:
        """Standard error of `generated_per_s`, of the means of ten parts of the window."""
        start, part = self.window[0], self.seconds / PARTS
        speeds = [self._generated(start + i * part, start + (i + 1) * part) for i in range(PARTS)]
        return statistics.stdev(speeds) / part / math.sqrt(PARTS)

    @property
    def prompt_per_s(self) -> float | None:
        """Prompt tokens, cached ones too, of answers whose first token came in the window."""
        if not self.counted:
            return None
        start, end = self.window
        begun = [a.prompt_tokens for a in self.answers if start <= a.first_token_s <= end]
        return sum(begun) / self.seconds

    @property
    def answers_per_min(self) -> float | None:
        return 60 * len(self.counted) / self.seconds if self.counted else None

    @property
    def first_token_s(self) -> tuple[float, float] | None:
        """Median and 95th percentile, from the request that was let in."""
        return _p50_p95([answer.first_token_s - answer.sent_s for answer in self.counted])

    @property
    def answer_s(self) -> tuple[float, float] | None:
        """Likewise, to the answer's end."""
        return _p50_p95([answer.ended_s - answer.sent_s for answer in self.counted])

    @property
    def cached(self) -> float | None:
        """Share of the prompts' tokens that the prefix cache held; None where nobody says."""
        if self.server is not None:
            asked = self.server.prefix_queries
            return self.server.prefix_hits / asked if asked else None
        counts = [(a.cached_tokens, a.prompt_tokens) for a in self.counted]
        known = [(hit, prompt) for hit, prompt in counts if hit is not None]
        prompts = sum(prompt for _, prompt in known)
        return sum(hit for hit, _ in known) / prompts if prompts else None

    @property
    def preemptions(self) -> int | None:
        return round(self.server.preemptions) if self.server is not None else None

    @property
    def errors_dominate(self) -> bool:
        """More requests failed than were answered, or none was answered."""
        return not self.counted or sum(self.errors.values()) > len(self.counted)

    def as_dict(self) -> dict[str, Any]:
        """For --json; seconds, tokens a second, shares of 1."""
        names = ("at_once", "seconds", "generated_per_s", "generated_error", "prompt_per_s")
        more = (
            "answers_per_min",
            "first_token_s",
            "answer_s",
            "cached",
            "preemptions",
            "rejected",
            "warm",
        )
        values = {name: _rounded(getattr(self, name)) for name in (*names, *more)}
        return {**values, "answers": len(self.counted), "errors": dict(self.errors)}

    def _generated(self, start: float, end: float) -> float:
        """Tokens between two moments, each answer's spread evenly from its first to its last."""
        return sum(a.completion_tokens * _share(a, start, end) for a in self.answers)


def _share(answer: MeasuredAnswer, start: float, end: float) -> float:
    lasts = answer.ended_s - answer.first_token_s
    if lasts <= 0:
        return float(start <= answer.ended_s < end)
    inside = min(end, answer.ended_s) - max(start, answer.first_token_s)
    return max(0.0, inside) / lasts


def _p50_p95(values: Sequence[float]) -> tuple[float, float] | None:
    if not values:
        return None
    cuts = quantiles(values, 20)
    return cuts[9], cuts[-1]


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value
