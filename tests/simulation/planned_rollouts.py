"""What rollouts are going to do: rows of steps, drawn from a seed.

A step is a request for an answer, then a command in the sandbox, whose output makes the next prompt
longer. A rollout depends on the seed and its number alone, so two nights do the same work however
they go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from orchestrator.config.schema import RolloutLimits


@dataclass(frozen=True)
class AgentProfile:
    """What rollouts are like: bounds of uniform draws, unless said otherwise."""

    steps: tuple[int, int] = (15, 75)
    first_prompt_tokens: tuple[int, int] = (3000, 6000)
    answer_tokens: tuple[int, int] = (100, 600)
    observation_tokens: tuple[int, int] = (200, 2000)
    """Drawn log-uniformly: most are short."""
    sandbox_s: tuple[float, float] = (0.5, 15.0)
    """Drawn log-uniformly: most commands are quick."""
    max_context_tokens: int = 65_536
    """A rollout ends before the step that would go over it."""


@dataclass(frozen=True)
class PlannedStep:
    """A request for an answer, and the command that it leads to."""

    prompt_tokens: int
    answer_tokens: int
    sandbox_s: float


PlannedRollout = Sequence[PlannedStep]

NO_LIMITS = RolloutLimits(
    max_steps=10_000, max_tokens=10**12, time_limit_s=1e9, command_timeout_s=1e6
)
LIMITS = RolloutLimits(max_steps=32, time_limit_s=3600.0, command_timeout_s=600.0)
NEAR_LIMITS = AgentProfile(steps=(12, 36), answer_tokens=(300, 1500))
"""Some of these meet the step limit."""
LONG_EVERY = 7
"""One rollout of so many is near its time limit."""
LONG_STEPS = 20
LONG_TIMES = (0.93, 1.07)
"""How long those take, as shares of the time limit, roughly."""
ANSWER_S_PER_TOKEN = 0.041
"""What a token of an answer takes beside some ten others, prefills included."""


def draw_rollouts(
    count: int, seed: int, agents: AgentProfile | None = None
) -> list[PlannedRollout]:
    """Rollouts that depend on the seed and on their number only, however they are scheduled."""
    profile = agents or AgentProfile()
    return [_draw_rollout(Random(f"{seed}/{number}"), profile) for number in range(count)]


def draw_rollouts_near_limits(count: int, seed: int) -> list[PlannedRollout]:
    """Rollouts of which some are near one of `LIMITS`; most of their time are slow commands.

    Some take nearly as long as their time limit allows, some a little longer: an outage that is
    counted as an agent's time shows as a wrong outcome.
    """
    rollouts = draw_rollouts(count, seed, NEAR_LIMITS)
    for n in range(LONG_EVERY, count - LONG_EVERY, LONG_EVERY):
        share = Random(f"long/{seed}/{n}").choice(LONG_TIMES)
        rollouts[n] = _stretched(rollouts[n][:LONG_STEPS], share * LIMITS.time_limit_s)
    return rollouts


def _draw_rollout(random: Random, agents: AgentProfile) -> PlannedRollout:
    steps: list[PlannedStep] = []
    prompt = random.randint(*agents.first_prompt_tokens)
    for _ in range(random.randint(*agents.steps)):
        answer = random.randint(*agents.answer_tokens)
        if prompt + answer > agents.max_context_tokens:
            break
        steps.append(PlannedStep(prompt, answer, _log_uniform(random, *agents.sandbox_s)))
        prompt += answer + round(_log_uniform(random, *agents.observation_tokens))
    return steps


def _log_uniform(random: Random, low: float, high: float) -> float:
    return math.exp(random.uniform(math.log(low), math.log(high)))


def _stretched(rollout: PlannedRollout, seconds: float) -> PlannedRollout:
    """With commands so long that all of it takes so many seconds."""
    answers_s = sum(step.answer_tokens for step in rollout) * ANSWER_S_PER_TOKEN
    commands_s = sum(step.sandbox_s for step in rollout)
    factor = max(1.0, (seconds - answers_s) / commands_s)
    capped = LIMITS.command_timeout_s - 1
    steps = [replace(s, sandbox_s=min(capped, s.sandbox_s * factor)) for s in rollout]
    missing = seconds - answers_s - sum(step.sandbox_s for step in steps)
    more = max(0.0, missing) / len(steps)
    return [replace(s, sandbox_s=s.sandbox_s + more) for s in steps]
