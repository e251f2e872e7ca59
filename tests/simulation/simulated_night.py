"""Agents that work through rollouts at a simulated server, and what a driver sees of it.

A rollout is a row of steps: a request for an answer, then a command in the sandbox, whose output
makes the next prompt longer. It is drawn from its seed and number alone, so two nights with
different limits do the same work. Not modelled: starting sandboxes, grades, rollouts that fail.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from orchestrator.driver.admission import Admission
from orchestrator.endpoint.load import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from simulation.vllm_simulator import SimulatedAnswer, SimulatedServer

SAMPLE_S = 10.0


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


def draw_rollouts(
    count: int, seed: int, agents: AgentProfile | None = None
) -> list[PlannedRollout]:
    """Rollouts that depend on the seed and on their number only, however they are scheduled."""
    profile = agents or AgentProfile()
    return [_draw_rollout(Random(f"{seed}/{number}"), profile) for number in range(count)]


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


class SimulatedNight:
    """Agents that work through rollouts in their order, `limit` of them at once, at one server."""

    def __init__(
        self, rollouts: Sequence[PlannedRollout], server: SimulatedServer, limit: int
    ) -> None:
        self.server = server
        self.limit = limit
        """May be set at any time; lowering it ends no rollout that is under way."""
        self.finished_s: list[float] = []
        """When rollouts ended."""
        self._rollouts = rollouts
        self._started = 0
        self._at: dict[int, int] = {}
        """The step that each rollout under way is at."""
        self._commands: list[tuple[float, int]] = []

    @property
    def now(self) -> float:
        return self.server.now

    @property
    def under_way(self) -> int:
        return len(self._at)

    @property
    def is_over(self) -> bool:
        return len(self.finished_s) == len(self._rollouts)

    def advance(self, until_s: float) -> list[SimulatedAnswer]:
        """Live on until then, or until the night is over; the answers that came."""
        answers: list[SimulatedAnswer] = []
        self._admit()
        while not self.is_over and self.now < until_s:
            command_s = self._commands[0][0] if self._commands else math.inf
            now = min(until_s, command_s, self.server.next_event_s())
            for answer in self.server.advance(now):
                answers.append(answer)
                self._run_command(answer.rollout)
            while self._commands and self._commands[0][0] <= now:
                self._next_step(heapq.heappop(self._commands)[1])
        return answers

    def _admit(self) -> None:
        while self.under_way < self.limit and self._started < len(self._rollouts):
            self._at[self._started] = -1
            self._started += 1
            self._next_step(self._started - 1)

    def _run_command(self, rollout: int) -> None:
        step = self._rollouts[rollout][self._at[rollout]]
        heapq.heappush(self._commands, (self.now + step.sandbox_s, rollout))

    def _next_step(self, rollout: int) -> None:
        """Ask for the next answer, or end."""
        self._at[rollout] += 1
        if self._at[rollout] < len(self._rollouts[rollout]):
            step = self._rollouts[rollout][self._at[rollout]]
            self.server.submit(rollout, step.prompt_tokens, step.answer_tokens)
        else:
            del self._at[rollout]
            self.finished_s.append(self.now)
            self._admit()


class Watcher:
    """What the gateway and /metrics would say of a night, interval by interval."""

    def __init__(self, night: SimulatedNight, sees_metrics: bool = True) -> None:
        self.night = night
        self._sees_metrics = sees_metrics
        self._sizes: dict[int, int] = {}
        self._metrics = night.server.metrics()
        self._outages = night.server.outages

    def watch(self, seconds: float = SAMPLE_S) -> LoadSample:
        """Let so much of the night pass."""
        server, began_s = self.night.server, self.night.now
        answers = self.night.advance(began_s + seconds)
        metrics = server.metrics()
        held = metrics is None or self._metrics is None or server.outages != self._outages
        grown = None if metrics is None else metrics.since(self._metrics or ServerMetrics())
        self._metrics, self._outages = metrics, server.outages
        seconds = self.night.now - began_s
        return LoadSample(
            at=self.night.now,
            seconds=seconds,
            rollouts=self.night.under_way,
            answers=len(answers),
            grown_tokens=sum(self._grown(answer) for answer in answers),
            latency_s=sum(a.latency_s for a in answers) / len(answers) if answers else 0.0,
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.answer_tokens for answer in answers),
            in_flight=0,
            waiting=0,
            down_s=seconds if held else 0.0,
            server=grown if self._sees_metrics else None,
        )

    def _grown(self, answer: SimulatedAnswer) -> int:
        size = answer.prompt_tokens + answer.answer_tokens
        before = self._sizes.get(answer.rollout, 0)
        self._sizes[answer.rollout] = size
        return size - before


def run_under(admission: Admission, night: SimulatedNight, sees_metrics: bool = True) -> None:
    """The whole night, under what the controller makes of it."""
    watcher = Watcher(night, sees_metrics)
    while not night.is_over:
        night.limit = admission.limit
        admission.observe(watcher.watch())
