"""From levels to what a person does with them: how many at once, and how long a night takes. Pure.

A level is *clean* where the server preempted nothing, failed next to never, and rejected less than
it let in. Fewer rejections don't stain it: rollouts wait them out, and the throughput shows that.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from orchestrator.bench.levels import Level
from orchestrator.report.stats import quantiles
from orchestrator.report.words import counted

NEAR_BEST = 0.95
MAX_ERRORS = 0.01
"""Of as many answers, at a clean level."""
MIN_STEPS = 5
"""Below so many measured steps nothing is said of a night."""
DRAWS = 400
FOREIGN_SHARE = 0.15
"""Of the server's own count of tokens; more that are not ours are worth a word."""


@dataclass(frozen=True)
class Question:
    """What is asked of a sweep, and assumed where it can't be measured."""

    seconds: float
    """To measure a level."""
    pause_s: float
    """Mean, between an answer and the next request."""
    instances: int
    steps: float
    """Of a rollout, on average; an assumption, as is `spread`, their standard deviation."""
    spread: float


@dataclass(frozen=True)
class Recommendation:
    at_once: int
    why: str


@dataclass(frozen=True)
class NightEstimate:
    """How long so many instances take at a level; seconds, of simulated runs."""

    at_once: int
    instances: int
    wall_s: float
    """Their median."""
    low_s: float
    high_s: float
    """2.5 % and 97.5 % of them."""
    step_s: float
    """Mean of the measured steps: answer, refusals before it, pause after it."""
    measured_steps: int


@dataclass(frozen=True)
class Findings:
    """A sweep as far as it came, and what follows from it."""

    levels: tuple[Level, ...]
    advice: Recommendation | None
    night: NightEstimate | None
    warnings: tuple[str, ...]
    ended_because: str | None
    """Why higher levels were left out."""

    @property
    def clean_advice(self) -> int | None:
        """How many at once, where that was reached without trouble."""
        levels = {level.at_once: level for level in self.levels}
        if self.advice is None or not is_clean(levels[self.advice.at_once]):
            return None
        return self.advice.at_once

    def as_dict(self) -> dict[str, Any]:
        """For --json; seconds, tokens a second, shares of 1."""
        return {
            "levels": [level.as_dict() | {"clean": is_clean(level)} for level in self.levels],
            "recommendation": asdict(self.advice) if self.advice else None,
            "estimate": asdict(self.night) if self.night else None,
            "warnings": list(self.warnings),
            "ended_because": self.ended_because,
        }


def conclude(levels: Sequence[Level], question: Question, ended: str | None = None) -> Findings:
    """Everything that the levels say; none at all say nothing."""
    advice = recommend(levels)
    chosen = next((level for level in levels if advice and level.at_once == advice.at_once), None)
    night = estimate_night(chosen, question) if chosen else None
    return Findings(tuple(levels), advice, night, tuple(warnings(levels, chosen)), ended)


def stop_reason(levels: Sequence[Level]) -> str | None:
    """Why higher levels are not worth measuring; None where they are. Levels in rising order."""
    last = levels[-1]
    if last.errors_dominate:
        if not last.counted and not last.errors and not last.rejected:
            return f"not one answer ended within the {last.seconds:.0f} s at {last.at_once} at once"
        return f"most requests failed at {last.at_once} at once"
    speeds = [level.generated_per_s for level in levels[-3:]]
    known = [speed for speed in speeds if speed is not None]
    if len(known) == 3 and known[0] > known[1] > known[2]:
        return "the throughput has fallen twice"
    return None


def is_clean(level: Level) -> bool:
    answers = len(level.counted)
    return (
        not level.errors_dominate
        and not level.preemptions
        and level.rejected < max(1, answers)
        and sum(level.errors.values()) <= MAX_ERRORS * answers
    )


def recommend(levels: Sequence[Level]) -> Recommendation | None:
    """The smallest clean level within 5 % of the clean levels' best; None where nothing works.

    One that is below the best by no more than their standard error is within as well.
    Where no level is clean, the same of those where more was answered than failed.
    """
    working = [level for level in levels if not level.errors_dominate]
    if not working:
        return None
    pool = [level for level in working if is_clean(level)] or working
    best = max(pool, key=_speed)
    chosen = min(
        (level for level in pool if _is_near(level, best)), key=lambda level: level.at_once
    )
    return Recommendation(chosen.at_once, _why(chosen, best, levels))


def _is_near(level: Level, best: Level) -> bool:
    error = math.hypot(level.generated_error, best.generated_error)
    return _speed(level) >= min(NEAR_BEST * _speed(best), _speed(best) - error)


def _why(chosen: Level, best: Level, levels: Sequence[Level]) -> str:
    some_trouble = is_clean(chosen) and not all(map(is_clean, levels))
    most = "the most" + (" that was reached without trouble" if some_trouble else "")
    if chosen is not best:
        share = f"{_speed(chosen) / _speed(best):.0%}"
        most = f"{share} of {most}, which took {best.at_once} at once"
    parts = [f"{_speed(chosen):,.0f} tokens/s is {most}"]
    if not is_clean(chosen):
        parts.append(f"no level was without trouble, this one neither ({trouble(chosen)})")
    for level in levels:
        if level.at_once != chosen.at_once and not level.errors_dominate and not is_clean(level):
            gain = _speed(level) / _speed(chosen) - 1
            parts.append(f"{level.at_once} at once: {gain:+.0%}, but {trouble(level)}")
        elif level.errors_dominate:
            parts.append(f"{level.at_once} at once: does not work ({trouble(level)})")
    return "; ".join(parts)


def trouble(level: Level) -> str:
    """What went wrong at a level, in words; empty where nothing did."""
    kinds = [f"{count} x {kind}" for kind, count in level.errors.items()]
    if level.rejected:
        asked = level.rejected + len(level.counted)
        kinds.insert(0, f"{level.rejected} of {asked} rejected")
    if level.preemptions:
        kinds.insert(0, f"{level.preemptions} preempted")
    if not level.counted:
        kinds.insert(0, "no answer")
    return ", ".join(kinds)


def estimate_night(level: Level, question: Question, seed: int = 0) -> NightEstimate | None:
    """Simulate the night at a level; None where too few steps were measured.

    Each of the simulated runs takes the mean step from measured steps that are drawn again, in
    blocks, for neighbours resemble each other (H. R. Künsch, Ann. Stat. 17, 1989); draws each
    rollout's number of steps from a gamma distribution with the question's mean and standard
    deviation; and hands the rollouts to slots as they fall free, to the last one's end.
    """
    cycles = [answer.cycle_s for answer in level.counted]
    if len(cycles) < MIN_STEPS:
        return None
    random = Random(seed)
    walls = [
        _block_mean(cycles, random) * _longest_slot(_rollout_steps(question, random), level.at_once)
        for _ in range(DRAWS)
    ]
    cuts = quantiles(walls, 40)
    return NightEstimate(
        at_once=level.at_once,
        instances=question.instances,
        wall_s=cuts[19],
        low_s=cuts[0],
        high_s=cuts[-1],
        step_s=sum(cycles) / len(cycles),
        measured_steps=len(cycles),
    )


def _block_mean(values: Sequence[float], random: Random) -> float:
    """Mean of one resample in blocks of about the root of n, wrapping around at the end."""
    n = len(values)
    block = max(1, math.isqrt(n))
    starts = [random.randrange(n) for _ in range(math.ceil(n / block))]
    drawn = [values[(start + i) % n] for start in starts for i in range(block)][:n]
    return sum(drawn) / n


def _rollout_steps(question: Question, random: Random) -> list[float]:
    if question.spread <= 0:
        return [question.steps] * question.instances
    shape = (question.steps / question.spread) ** 2
    scale = question.steps / shape
    return [max(1.0, random.gammavariate(shape, scale)) for _ in range(question.instances)]


def _longest_slot(rollouts: Sequence[float], slots: int) -> float:
    """Steps until the last slot is done, each rollout going to the slot that is free first."""
    busy = [0.0] * slots
    for steps in rollouts:
        heapq.heapreplace(busy, busy[0] + steps)
    return max(busy)


def warnings(levels: Sequence[Level], chosen: Level | None) -> list[str]:
    """What keeps the numbers from meaning what they seem to."""
    found = []
    cold = [str(level.at_once) for level in levels if not level.warm and level.counted]
    if cold:
        found.append(
            f"at {', '.join(cold)} at once some agents had no answer when the measuring began: "
            "prompts were still being read for the first time; try a longer --seconds"
        )
    foreign = [str(level.at_once) for level in levels if _foreign_share(level) > FOREIGN_SHARE]
    if foreign:
        found.append(
            f"at {', '.join(foreign)} at once the server wrote many tokens for somebody else: "
            "measure it while nobody uses it"
        )
    if chosen is not None and chosen is levels[-1] and len(levels) > 1 and is_clean(chosen):
        found.append(
            f"the throughput still grew at {chosen.at_once} at once: more may be better, "
            f"try --levels {chosen.at_once},{2 * chosen.at_once}"
        )
    if chosen is not None and len(chosen.counted) < MIN_STEPS * 4:
        found.append(
            f"no more than {counted(len(chosen.counted), 'answer')} came at {chosen.at_once} at "
            "once while it was measured: try a longer --seconds"
        )
    return found


def _speed(level: Level) -> float:
    return level.generated_per_s or 0.0


def _foreign_share(level: Level) -> float:
    """Of the tokens that the server wrote in the window, those that no agent of ours got."""
    if level.server is None or not level.server.generation_tokens or not level.counted:
        return 0.0
    ours = _speed(level) * level.seconds
    return 1 - ours / level.server.generation_tokens
