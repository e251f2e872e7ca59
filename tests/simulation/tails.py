"""The end of a simulated night: how long it takes beside the bound that its own durations allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from statistics import fmean

from orchestrator.driver.admission import Admission
from orchestrator.journal.past import PastSeconds
from simulation.planned_rollouts import NO_LIMITS, AgentProfile, PlannedRollout, draw_rollouts
from simulation.simulated_night import NightLog, SimulatedNight

STEPS = ((8, 25), (10, 35), (15, 45), (20, 60), (30, 80), (40, 120), (10, 30), (60, 150))
"""Of the rollouts of a repository; one is as long as several of others."""
REPOS = tuple(f"r/{n}" for n in range(len(STEPS)))


@dataclass(frozen=True)
class Tail:
    """How a night ended. Seconds."""

    wall_s: float
    bound_s: float
    """No order of these rollouts, in as many slots as were admitted, is over sooner."""
    lone_s: float
    """In which less than half of the slots had a rollout."""

    @property
    def over_bound(self) -> float:
        return self.wall_s / self.bound_s


def draw_by_repo(count: int, seed: int) -> list[PlannedRollout]:
    """Rollouts of `REPOS` in turn."""
    of_repos = [
        draw_rollouts(count, 100 * seed + n, AgentProfile(steps=steps, sandbox_s=(0.5, 60.0)))
        for n, steps in enumerate(STEPS)
    ]
    return [of_repos[number % len(STEPS)][number] for number in range(count)]


def play(
    count: int,
    seed: int,
    slots: int,
    *,
    past: PastSeconds | None = None,
    longest_first: bool = False,
) -> NightLog:
    """A night under the admission, in the data set's order or with the longest first."""
    return SimulatedNight(
        draw_by_repo(count, seed),
        limits=NO_LIMITS,
        slots=slots,
        admission=Admission(slots),
        request_timeout_s=math.inf,
        seed=seed,
        repos=REPOS,
        past=past,
        longest_first=longest_first,
    ).run()


def taken_s(night: NightLog) -> dict[str, float]:
    """By each rollout."""
    rows = [result.record for result in night.results if result.outcome is not None]
    return {row.instance_id: row.ended_at - row.started_at for row in rows}


def past_of(night: NightLog, factor: float, seed: int) -> PastSeconds:
    """What a night before says, off by such a factor in the mean."""
    draw = Random(f"past/{seed}")
    own = {n: s * draw.lognormvariate(0, math.log(factor)) for n, s in taken_s(night).items()}
    of_repos = {
        repo: fmean(s for n, s in own.items() if REPOS[int(n) % len(REPOS)] == repo)
        for repo in REPOS
    }
    return PastSeconds(own, of_repos)


def tail_of(night: NightLog, slots: int) -> Tail:
    seconds = list(taken_s(night).values())
    ends = sorted(result.record.ended_at for result in night.results)
    half_s = ends[max(0, len(ends) - slots // 2)]
    return Tail(ends[-1], max(_filled_s(sum(seconds), night, slots), *seconds), ends[-1] - half_s)


def _filled_s(work_s: float, night: NightLog, slots: int) -> float:
    """When the slots that were admitted have held so much work."""
    limits: Sequence[tuple[float, int]] = night.limits or [(0.0, slots)]
    for (begin, limit), (end, _) in pairwise([*limits, (math.inf, 0)]):
        if work_s <= limit * (end - begin):
            return begin + work_s / limit
        work_s -= limit * (end - begin)
    raise AssertionError("the last of them lasts for ever")
