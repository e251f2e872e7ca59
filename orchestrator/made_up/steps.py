"""What each step of a made-up rollout takes: tokens, seconds of the model and of tools. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.made_up.stories import ToldExchange

CHARS_PER_TOKEN = 3.6
FIRST_PROMPT = 1900
TOKENS_PER_S = 26.0
"""Generated, of one request among eight."""
PREFILL_PER_S = 900.0
CACHED_SHARE = 0.93
"""Of the conversation so far, mostly."""


@dataclass(frozen=True)
class PlannedStep:
    exchange: ToldExchange
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    model_s: float
    tool_s: float


def plan_steps(
    told: Sequence[ToldExchange], statement: str, rng: random.Random
) -> tuple[PlannedStep, ...]:
    prompt = FIRST_PROMPT + round(len(statement) / CHARS_PER_TOKEN)
    before = 0
    planned = []
    for exchange in told:
        reasoning = round(rng.lognormvariate(4.6, 0.7))
        said = round((len(exchange.thought) + len(exchange.action)) / CHARS_PER_TOKEN) + 12
        cached = round(before * min(1.0, rng.gauss(CACHED_SHARE, 0.05))) if before else 0
        completion = said + reasoning
        model_s = completion / TOKENS_PER_S / rng.uniform(0.75, 1.3)
        model_s += (prompt - cached) / PREFILL_PER_S + 0.2
        tool_s = min(120.0, rng.lognormvariate(1.0, 0.9)) if exchange.action else 0.0
        planned.append(
            PlannedStep(exchange, prompt, cached, completion, reasoning, model_s, tool_s)
        )
        before = prompt
        seen = exchange.shown if exchange.shown is not None else exchange.observation
        prompt += said + round(min(len(seen), 10_000) / CHARS_PER_TOKEN)
    return tuple(planned)
