"""The executor in simulated time: its rollouts do what is planned for them, within their limits.

What a worker and its watcher do with threads and real sandboxes, this does with a timeline. The
limits are kept by the real budget. Not modelled: sandboxes that are started. A grade takes no time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.backends import GradeRequest
from orchestrator.driver.executor import Event, NodeSlots
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    Outcome,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.agent_run import OVERTIME_S, QUIET_S
from orchestrator.worker.messages import ImageRequest, RolloutRequest
from simulation.planned_rollouts import PlannedRollout, PlannedStep
from simulation.simulated_gateway import SimulatedGateway
from simulation.simulated_outages import Timeline

WATCH_S = 2.0


@dataclass(eq=False)
class _Life:
    """A rollout under way."""

    key: RolloutKey
    steps: PlannedRollout
    budget: Budget
    started_at: float = 0.0
    done: int = 0
    """Steps."""
    was_cut: bool = False
    """Its last command was killed, because the rollout's time was up."""


@dataclass
class SimulatedWorkers:
    """Implements `driver.executor.Executor`. Instance ids are numbers of planned rollouts.

    `advance` lets time pass to the next thing that happens, at most to the time that it is given.
    """

    rollouts: Sequence[PlannedRollout]
    gateway: SimulatedGateway
    timeline: Timeline
    advance: Callable[[float], None]
    agent_s: dict[str, float] = field(default_factory=dict)
    """What each rollout that has ended took of its time limit, by instance id."""
    _lives: dict[RolloutKey, _Life] = field(default_factory=dict)
    _ended: list[Event] = field(default_factory=list)

    def submit_rollout(self, request: RolloutRequest) -> None:
        key, limits = request.key, request.assignment.config.rollout
        budget = Budget(limits, lambda: self.gateway.held_s(key), now=lambda: self.timeline.now)
        life = _Life(key, self.rollouts[int(key.instance_id)], budget, self.timeline.now)
        self._lives[key] = life
        self._watch(life)
        self._next_step(life)

    def submit_grade(self, request: GradeRequest) -> None:
        digest = patch_sha256(request.patch)
        record = GradeRecord(request.key, digest, resolved=True, reason=GradeReason.TESTS)
        self._ended.append(GradeResult(record))

    def nodes(self) -> tuple[NodeSlots, ...]:
        raise AssertionError("simulated rollouts need no images")

    def submit_image_work(self, request: ImageRequest) -> None:
        raise AssertionError("simulated rollouts need no images")

    def poll(self, timeout_s: float) -> list[Event]:
        """Returns sooner where the gateway has more to say than that requests have ended."""
        until = self.timeline.now + timeout_s
        while not (self._ended or self.gateway.has_news) and self.timeline.now < until:
            self.advance(until)
        ended, self._ended = self._ended, []
        return ended

    def stop_now(self) -> None:
        for life in list(self._lives.values()):
            self._end(life, FailureKind.INTERRUPTED)

    def close(self) -> None:
        self._lives.clear()

    def _next_step(self, life: _Life) -> None:
        if life.key not in self._lives:
            return
        if life.done == len(life.steps) or life.was_cut:
            self._end(life, Outcome.TIME_LIMIT if life.was_cut else Outcome.SUBMITTED)
            return
        try:
            life.budget.begin_step()
        except LimitReached as limit:
            self._end(life, limit.outcome)
            return
        step = life.steps[life.done]
        self.gateway.ask(life.key, step, lambda *reply: self._run_command(life, step, *reply))

    def _run_command(
        self, life: _Life, step: PlannedStep, failure: FailureKind | None, seconds: float
    ) -> None:
        if failure is not None:
            self._end(life, failure)
            return
        life.done += 1
        life.budget.add_answer(step.prompt_tokens, step.answer_tokens, seconds)
        life.budget.refresh()
        timeout_s = life.budget.command_timeout_s()
        life.was_cut = step.sandbox_s > timeout_s
        self.timeline.after(min(step.sandbox_s, timeout_s), lambda: self._next_step(life))

    def _watch(self, life: _Life) -> None:
        """End it once it has overrun its time limit, as the rollout's watcher does."""
        if life.key not in self._lives:
            return
        life.budget.refresh()
        left_s = life.budget.time_left_s + OVERTIME_S
        if left_s < 0 and self.gateway.quiet_s(life.key) < QUIET_S:
            self._end(life, Outcome.TIME_LIMIT)
        else:
            self.timeline.after(max(WATCH_S, left_s), lambda: self._watch(life))

    def _end(self, life: _Life, how: Outcome | FailureKind) -> None:
        life.budget.refresh()
        limit_s = life.budget.limits.time_limit_s
        self.agent_s[life.key.instance_id] = limit_s - life.budget.time_left_s
        failure = how if isinstance(how, FailureKind) else None
        record = RolloutRecord(
            life.key,
            outcome=how if isinstance(how, Outcome) else None,
            failure=Failure(failure, "") if failure else None,
            usage=life.budget.usage,
            started_at=life.started_at,
            ended_at=self.timeline.now,
        )
        patch = "" if failure or not life.done else f"after step {life.done}"
        self._ended.append(RolloutResult(record, patch))
        del self._lives[life.key]
        self.gateway.forget(life.key)
