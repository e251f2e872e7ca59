"""One rollout's limits: steps, tokens, context, wall clock, loops; the same for every agent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from orchestrator.agents.steps import Step
from orchestrator.config.schema import RolloutLimits
from orchestrator.endpoint.tool_calls import CallProblem
from orchestrator.types import CallCounts, Outcome, Usage


class LimitReached(Exception):
    """A limit ends the rollout; `outcome` says which one."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


@dataclass
class Budget:
    """What a rollout has used of its limits. One thread writes, another reads."""

    limits: RolloutLimits
    held: Callable[[], float] = lambda: 0.0
    """Seconds so far in which the model server was away; asked before each step."""
    context_length: int | None = None
    """Tokens that a prompt may have; the server may refuse earlier."""
    now: Callable[[], float] = time.monotonic
    activity: str = ""
    """What the agent does at this moment, for the display."""
    steps: list[Step] = field(default_factory=list)
    """What the agent did so far."""
    _repeats: int = field(init=False, default=0)
    _last_prompt_tokens: int = field(init=False, default=0)
    _started: float = field(init=False)
    _uncounted_s: float = field(init=False, default=0.0)
    _usage: Usage = field(init=False, default=Usage())
    _calls: CallCounts | None = field(init=False, default=None)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._started = self.now()

    @property
    def usage(self) -> Usage:
        with self._lock:
            return self._usage

    @property
    def calls(self) -> CallCounts | None:
        """How calls of functions came out; None where none were asked for."""
        return self._calls

    @property
    def unusable_answers(self) -> int:
        """Steps so far whose answer held no action that could be used."""
        return sum(not step.action.strip() for step in self.steps)

    @property
    def time_left_s(self) -> float:
        """Seconds until the wall clock limit; what was held does not count, nor `uncounted`."""
        taken_s = self.now() - self._started - self.usage.held_s - self._uncounted_s
        return self.limits.time_limit_s - taken_s

    @property
    def steps_left(self) -> int:
        return self.limits.max_steps - self.usage.steps

    def begin_step(self) -> None:
        """Take one step from the budget.

        Raises:
            LimitReached: nothing is left of some limit, or the agent goes round in circles.
        """
        self.refresh()
        usage = self.usage
        if usage.steps >= self.limits.max_steps or self._is_looping:
            raise LimitReached(Outcome.STEP_LIMIT)
        if usage.prompt_tokens + usage.completion_tokens >= self.limits.max_tokens:
            raise LimitReached(Outcome.TOKEN_LIMIT)
        if self.context_length is not None and self._last_prompt_tokens >= self.context_length:
            raise LimitReached(Outcome.CONTEXT_OVERFLOW)
        if self.time_left_s <= 0:
            raise LimitReached(Outcome.TIME_LIMIT)
        self._add(steps=1)

    @property
    def _is_looping(self) -> bool:
        return 0 < self.limits.loop_limit <= self._repeats

    def end_step(self, step: Step) -> None:
        """Take in what came of a step, and whether it repeats the one before."""
        last = self.steps[-1] if self.steps else None
        same = last is not None and (last.action, last.observation) == (
            step.action,
            step.observation,
        )
        same &= bool(step.action.strip())  # an answer that holds none is a format error
        self._repeats = self._repeats + 1 if same else 1
        self.steps.append(step)

    def add_answer(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> None:
        """Count one answer, in tokens as the server counted them."""
        self._last_prompt_tokens = prompt_tokens
        self._add(prompt_tokens, completion_tokens, seconds)

    def add_call(self, problem: CallProblem | None, detail: str = "") -> None:
        """Count one call of a function, as `CallCounts` does."""
        self._calls = (self._calls or CallCounts()).with_call(problem, detail)

    def add_fault(self, problem: CallProblem, detail: str = "") -> None:
        """Count a fault of a call that is counted as well formed."""
        self._calls = (self._calls or CallCounts()).with_fault(problem, detail)

    def refresh(self) -> None:
        """Ask how long the model server has been away so far."""
        held_s = self.held()
        with self._lock:
            self._usage = replace(self._usage, held_s=max(held_s, self._usage.held_s))

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What is waited for in it is not the agent's doing, nor the model's."""
        started = self.now()
        try:
            yield
        finally:
            self._uncounted_s += self.now() - started

    def command_timeout_s(self) -> float:
        """For the next command: its own limit, or what is left of the rollout's."""
        return max(1.0, min(self.limits.command_timeout_s, self.time_left_s))

    def _add(
        self,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        model_s: float = 0.0,
        steps: int = 0,
    ) -> None:
        with self._lock:
            old = self._usage
            self._usage = Usage(
                old.steps + steps,
                old.prompt_tokens + prompt_tokens,
                old.completion_tokens + completion_tokens,
                old.model_s + model_s,
                old.held_s,
            )
