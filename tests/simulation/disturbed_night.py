"""A night with outages, in simulated time: the real scheduler, admission, budget and policy.

Every rollout has its steps, drawn from the seed, so that the same night without outages says how
each has to end. Some take nearly as long as their time limit allows, some a little longer: an
outage that is counted as an agent's time shows as a wrong outcome. Not modelled: sandboxes that are
started, grades.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.config.schema import RolloutLimits as Limits
from orchestrator.driver.admission import Admission
from orchestrator.driver.scheduler import Scheduler, Stage
from orchestrator.types import (
    Failure,
    FailureKind,
    Outcome,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
)
from orchestrator.worker.agent_run import OVERTIME_S, QUIET_S
from simulation.simulated_gateway import SimulatedGateway, Waits
from simulation.simulated_night import (
    SAMPLE_S,
    AgentProfile,
    PlannedRollout,
    PlannedStep,
    draw_rollouts,
)
from simulation.simulated_outages import Outage, Timeline, UnsteadyServer
from simulation.vllm_simulator import ServerProfile, SimulatedServer

LIMITS = Limits(max_steps=32, time_limit_s=3600.0, command_timeout_s=600.0)
AGENTS = AgentProfile(steps=(12, 36), answer_tokens=(300, 1500))
RUN_ID = "a-night"
LONG_EVERY = 7
"""One rollout of so many is near its time limit."""
LONG_STEPS = 20
LONG_TIMES = (0.93, 1.07)
"""How long those take, as shares of the time limit, roughly."""
ANSWER_S_PER_TOKEN = 0.041
"""What a token of an answer takes beside some ten others, prefills included."""
WATCH_S = 2.0


def draw_night(count: int, seed: int) -> list[PlannedRollout]:
    """Rollouts of which some are near their time limit; most of their time are slow commands."""
    rollouts = draw_rollouts(count, seed, AGENTS)
    for n in range(LONG_EVERY, count - LONG_EVERY, LONG_EVERY):
        share = Random(f"long/{seed}/{n}").choice(LONG_TIMES)
        rollouts[n] = _stretched(rollouts[n][:LONG_STEPS], share * LIMITS.time_limit_s)
    return rollouts


def _stretched(rollout: PlannedRollout, seconds: float) -> PlannedRollout:
    """With commands so long that all of it takes so many seconds."""
    answers_s = sum(step.answer_tokens for step in rollout) * ANSWER_S_PER_TOKEN
    commands_s = sum(step.sandbox_s for step in rollout)
    factor = max(1.0, (seconds - answers_s) / commands_s)
    capped = LIMITS.command_timeout_s - 1
    steps = [
        PlannedStep(s.prompt_tokens, s.answer_tokens, min(capped, s.sandbox_s * factor))
        for s in rollout
    ]
    missing = seconds - answers_s - sum(step.sandbox_s for step in steps)
    return [
        PlannedStep(s.prompt_tokens, s.answer_tokens, s.sandbox_s + max(0.0, missing) / len(steps))
        for s in steps
    ]


@dataclass
class NightLog:
    """How it went. Seconds on the night's clock, 0 at its start."""

    results: list[RolloutResult] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    ended_s: float = 0.0
    agent_s: dict[str, float] = field(default_factory=dict)
    """What each rollout took of its time limit."""
    waits: Waits = field(default_factory=Waits)
    limits: list[tuple[float, int]] = field(default_factory=list)
    """How many rollouts were admitted at once, whenever that changed."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {r.key.instance_id: r.outcome for r in self.results if r.outcome is not None}

    @property
    def failures(self) -> list[RolloutResult]:
        return [result for result in self.results if result.failure is not None]


@dataclass
class _Life:
    """A rollout under way."""

    planned: RolloutKey
    number: int
    budget: Budget
    done: int = 0
    """Steps."""
    was_cut: bool = False
    """Its last command was killed, because the rollout's time was up."""


class DisturbedNight:
    """What a driver, its workers and a gateway would do; `run` is all of it."""

    def __init__(
        self,
        rollouts: Sequence[PlannedRollout],
        outages: Sequence[Outage] = (),
        *,
        profile: ServerProfile | None = None,
        slots: int = 12,
        max_outage_s: float = 8 * 3600.0,
        sees_metrics: bool = True,
        seed: int = 0,
    ) -> None:
        self._rollouts = rollouts
        self._timeline = Timeline()
        self._server = UnsteadyServer(SimulatedServer(profile or ServerProfile(700_000)))
        self.gateway = SimulatedGateway(
            self._timeline,
            self._server,
            max_outage_s=max_outage_s,
            sees_metrics=sees_metrics,
            seed=seed,
        )
        for outage in outages:
            self.gateway.suffer(outage)
        self._max_outage_s = max_outage_s
        self._scheduler = Scheduler(slots, 1, LIMITS.retries, LIMITS.retry_delay_s)
        self._admission = Admission(slots)
        self._lives: dict[int, _Life] = {}
        self._night = NightLog(waits=self.gateway.waits)

    def run(self, planned: Sequence[RolloutKey] | None = None) -> NightLog:
        """Until nothing is left to do, or all is given up; of `planned` only, where it is given."""
        everything = [RolloutKey(RUN_ID, str(n), 1) for n in range(len(self._rollouts))]
        self._scheduler.add(Stage.ROLLOUT, everything if planned is None else planned)
        self._limit()
        self._timeline.after(SAMPLE_S, self._sample)
        self._look()
        while not self._scheduler.is_finished:
            self._advance()
        self._night.ended_s = self._timeline.now
        return self._night

    def _advance(self) -> None:
        """To the next thing that happens."""
        server = self._server
        now = min(self._timeline.next_s, self.gateway.next_s(), server.server.next_event_s())
        self._timeline.now = now
        for answer in server.advance(now):
            self.gateway.answered(answer)
        self._timeline.run_due()
        self._look()

    def _look(self) -> None:
        """What the driver's loop does every fraction of a second."""
        now = self._timeline.now
        self.gateway.pump()
        since = self.gateway.down_since
        self._scheduler.endpoint_away = "away" if since is not None else ""
        if since is not None and now - since >= self._max_outage_s:
            self._scheduler.stopping = True
        for start in self._scheduler.admit(now):
            self._start(start.key)
        self.gateway.pump()

    def _sample(self) -> None:
        rollouts = len(self._scheduler.running(Stage.ROLLOUT))
        self._admission.observe(replace(self.gateway.sample(), rollouts=rollouts))
        self._limit()
        self._timeline.after(SAMPLE_S, self._sample)

    def _limit(self) -> None:
        limit = self._admission.limit
        if limit != self._scheduler.rollout_limit:
            self._night.limits.append((self._timeline.now, limit))
        self._scheduler.rollout_limit = limit

    # a worker

    def _start(self, planned: RolloutKey) -> None:
        number = int(planned.instance_id)
        budget = Budget(LIMITS, lambda: self.gateway.held_s(number), now=lambda: self._timeline.now)
        life = _Life(planned, number, budget)
        self._lives[number] = life
        self._night.starts[planned.instance_id] += 1
        self._watch(life)
        self._next_step(life)

    def _next_step(self, life: _Life) -> None:
        if self._lives.get(life.number) is not life:
            return
        steps = self._rollouts[life.number]
        if life.done == len(steps) or life.was_cut:
            self._end(life, Outcome.TIME_LIMIT if life.was_cut else Outcome.SUBMITTED)
            return
        try:
            life.budget.begin_step()
        except LimitReached as limit:
            self._end(life, limit.outcome)
            return
        step = steps[life.done]
        self.gateway.ask(life.number, step, lambda *reply: self._run_command(life, step, *reply))

    def _run_command(
        self, life: _Life, step: PlannedStep, failure: FailureKind | None, seconds: float
    ) -> None:
        if failure is not None:
            self._end(life, failure)
            return
        life.done += 1
        life.budget.add_call(step.prompt_tokens, step.answer_tokens, seconds)
        life.budget.refresh()
        timeout_s = life.budget.command_timeout_s()
        life.was_cut = step.sandbox_s > timeout_s
        self._timeline.after(min(step.sandbox_s, timeout_s), lambda: self._next_step(life))

    def _watch(self, life: _Life) -> None:
        """End it once it has overrun its time limit, as the rollout's watcher does."""
        if self._lives.get(life.number) is not life:
            return
        life.budget.refresh()
        left_s = life.budget.time_left_s + OVERTIME_S
        if left_s < 0 and self.gateway.quiet_s(life.number) < QUIET_S:
            self._end(life, Outcome.TIME_LIMIT)
        else:
            self._timeline.after(max(WATCH_S, left_s), lambda: self._watch(life))

    def _end(self, life: _Life, how: Outcome | FailureKind) -> None:
        life.budget.refresh()
        planned, now = life.planned, self._timeline.now
        limit_s = LIMITS.time_limit_s
        self._night.agent_s[planned.instance_id] = limit_s - life.budget.time_left_s
        failure = how if isinstance(how, FailureKind) else None
        self._night.results.append(
            RolloutResult(
                RolloutRecord(
                    planned,
                    outcome=how if isinstance(how, Outcome) else None,
                    failure=Failure(failure, "") if failure else None,
                    usage=life.budget.usage,
                    ended_at=now,
                ),
                patch="" if failure or not life.done else f"after step {life.done}",
            )
        )
        del self._lives[life.number]
        self.gateway.drop(life.number)
        self._scheduler.rollout_done(planned, failure, False, now)


def left_to_do(count: int, night: NightLog) -> list[RolloutKey]:
    """What a resumed run would do: all without an outcome, under the next attempt."""
    attempts: Counter[str] = Counter()
    for result in night.results:
        key = result.key
        attempts[key.instance_id] = max(attempts[key.instance_id], key.attempt)
    names = [str(n) for n in range(count)]
    return [
        RolloutKey(RUN_ID, name, attempts[name] + 1) for name in names if name not in night.outcomes
    ]
