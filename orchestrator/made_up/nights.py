"""When made-up rollouts and grades took place: slots, sessions, an outage, failures. Pure."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.made_up.chance import chance, weighted
from orchestrator.made_up.steps import PlannedStep
from orchestrator.types import Failure, FailureKind

START = 1_795_210_200.0
"""2026-11-20 21:30 UTC, an evening like any other."""
SLOTS = 8
RAMP_S = 150.0
"""Until the next slot is admitted, at the start of a session."""
OUTAGE_S = 18 * 60.0
NEXT_EVENING_S = 14 * 3600.0
FIRST_SESSION = 0.62
"""Of all the work; then somebody needs the machine."""
OUTAGE_AT = 0.35
"""Of the first session."""
GRADING_SLOTS = 2
FAILING_SHARE = 0.05
"""Of all first attempts."""
ATTEMPTS_BEFORE_LEFT = 3
RETRY_DELAY_S = 10.0


@dataclass(frozen=True)
class Trouble:
    """A way in which rollouts fail by the world's doing."""

    kind: FailureKind
    detail: str
    within: float
    """How much of the rollout may have passed by then: 0, none of it."""


_TROUBLES: Mapping[Trouble, float] = {
    Trouble(
        FailureKind.ENDPOINT_UNAVAILABLE, "the server failed 6 times at one request (HTTP 500)", 1
    ): 4,
    Trouble(FailureKind.SANDBOX_UNAVAILABLE, "docker: the container did not start in 60 s", 0): 3,
    Trouble(FailureKind.IMAGE_UNAVAILABLE, "docker pull: connection reset by peer", 0): 2,
    Trouble(FailureKind.WORKER_LOST, "the worker's process was killed (signal 9)", 1): 2,
    Trouble(FailureKind.AGENT_CRASHED, "mini: RuntimeError: a made-up crash", 1): 1,
}
INTERRUPTED = Failure(FailureKind.INTERRUPTED, "the run was interrupted")


@dataclass(frozen=True)
class Span:
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def holds(self, at: float) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True)
class TakenStep:
    """A step that took place. Seconds since the epoch, and seconds."""

    planned: PlannedStep
    asked_at: float
    held_s: float
    """The server was away."""

    @property
    def answered_at(self) -> float:
        return self.asked_at + self.held_s + self.planned.model_s


@dataclass(frozen=True)
class Attempt:
    """A rollout that took place."""

    instance_id: str
    number: int
    span: Span
    phases_s: Mapping[str, float]
    steps: tuple[TakenStep, ...]
    failure: Failure | None = None


@dataclass(frozen=True)
class MadeUpNight:
    sessions: tuple[Span, ...]
    outage: Span
    attempts: tuple[Attempt, ...]
    """In the order in which they ended."""


@dataclass(order=True)
class _Waiting:
    """An instance that has no outcome yet."""

    ready_at: float
    instance_id: str = field(compare=False)
    attempt: int = field(default=1, compare=False)


def spend_night(
    seed: int, planned: Mapping[str, Sequence[PlannedStep]], failing: frozenset[str] = frozenset()
) -> MadeUpNight:
    """All rollouts, in the order of `planned`. Those of `failing` fail whenever they are tried."""
    work_s = sum(step.model_s + step.tool_s for steps in planned.values() for step in steps)
    first_s = FIRST_SESSION * work_s / SLOTS
    outage_at = START + OUTAGE_AT * first_s
    world = _World(seed, planned, failing, Span(outage_at, outage_at + OUTAGE_S))
    queue = [_Waiting(START, instance_id) for instance_id in planned]
    first = world.session(queue, Span(START, START + OUTAGE_S + first_s))
    second = world.session(queue, Span(first.end + NEXT_EVENING_S, math.inf))
    attempts = sorted(world.attempts, key=lambda one: (one.span.end, one.instance_id))
    return MadeUpNight((first, second), world.outage, tuple(attempts))


@dataclass
class _World:
    seed: int
    planned: Mapping[str, Sequence[PlannedStep]]
    failing: frozenset[str]
    outage: Span
    attempts: list[Attempt] = field(default_factory=list)

    def session(self, queue: list[_Waiting], limits: Span) -> Span:
        """Work on what waits until it is done, or the session's end; returns how long it was."""
        free = [(limits.start + max(0, slot - 1) * RAMP_S, slot) for slot in range(SLOTS)]
        ends = [limits.start]
        while free and queue:
            at, slot = heapq.heappop(free)
            if at >= limits.end:
                continue
            ready = next((one for one in queue if one.ready_at <= at), None)
            if ready is None:
                heapq.heappush(free, (min(queue).ready_at, slot))
                continue
            queue.remove(ready)
            done = self._attempt(ready, at, limits.end)
            self.attempts.append(done)
            ends.append(done.span.end)
            heapq.heappush(free, (done.span.end + 1.0, slot))
            if done.failure and not self._is_given_up(ready):
                again = replace(
                    ready, ready_at=done.span.end + RETRY_DELAY_S, attempt=ready.attempt + 1
                )
                queue.insert(min(SLOTS, len(queue)), again)
        return Span(limits.start, max(ends) + 20.0)

    def _is_given_up(self, one: _Waiting) -> bool:
        return one.instance_id in self.failing and one.attempt >= ATTEMPTS_BEFORE_LEFT

    def _attempt(self, one: _Waiting, at: float, stop: float) -> Attempt:
        rng = chance(self.seed, one.instance_id, one.attempt, "night")
        trouble = self._trouble(one, rng)
        phases = {"image": 0.4, "sandbox": 1.0 + rng.expovariate(0.5)}
        if one.attempt == 1:
            phases["image"] += rng.expovariate(1 / 12)
        clock = at + phases["image"] + phases["sandbox"]
        steps = self.planned[one.instance_id]
        failure = Failure(trouble.kind, trouble.detail) if trouble else None
        if trouble:
            steps = steps[: int(len(steps) * trouble.within * rng.random())]
        taken: list[TakenStep] = []
        began = clock
        for step in steps:
            step_taken = TakenStep(step, clock, self._held_s(clock, step.model_s))
            clock = step_taken.answered_at + step.tool_s
            if clock > stop:
                clock, failure = stop + rng.uniform(1, 9), INTERRUPTED
                break
            taken.append(step_taken)
        phases |= {"agent": clock - began, "harvest": rng.uniform(0.3, 2), "remove": 0.5}
        end = clock + phases["harvest"] + phases["remove"]
        rounded = {name: round(seconds, 3) for name, seconds in phases.items()}
        return Attempt(one.instance_id, one.attempt, Span(at, end), rounded, tuple(taken), failure)

    def _trouble(self, one: _Waiting, rng: random.Random) -> Trouble | None:
        if one.instance_id in self.failing:
            return next(t for t in _TROUBLES if t.kind is FailureKind.SANDBOX_UNAVAILABLE)
        happens = one.attempt == 1 and rng.random() < FAILING_SHARE
        return weighted(rng, _TROUBLES) if happens else None

    def _held_s(self, asked_at: float, model_s: float) -> float:
        """Until the server is back, where it is away or goes away before it has answered."""
        is_hit = asked_at < self.outage.end and asked_at + model_s > self.outage.start
        return self.outage.end - asked_at if is_hit else 0.0


@dataclass(frozen=True)
class TimedGrade:
    span: Span
    failure: Failure | None = None


HARNESS_AWAY = Failure(
    FailureKind.HARNESS_UNAVAILABLE, "the tests were killed: out of memory, mostly"
)


def grade_times(
    seed: int, ready: Sequence[tuple[str, float]], seconds: Mapping[str, float], night: MadeUpNight
) -> dict[str, tuple[TimedGrade, ...]]:
    """When each patch was graded, those that failed first, by instance. `ready` are instances with
    the times at which their patches were there, in order; `seconds`, how long a grade takes."""
    free = [START] * GRADING_SLOTS
    found: dict[str, tuple[TimedGrade, ...]] = {}
    for instance_id, ready_at in ready:
        rng = chance(seed, instance_id, "grade")
        tries = 2 if rng.random() < 0.01 else 1
        times: list[TimedGrade] = []
        for number in range(tries):
            start = max(ready_at, heapq.heappop(free))
            took = seconds[instance_id] * (rng.random() if number + 1 < tries else 1)
            first, second = night.sessions
            if first.end - took < start < second.start:
                start = second.start  # left over for the next evening
            span = Span(start, start + took)
            times.append(TimedGrade(span, HARNESS_AWAY if number + 1 < tries else None))
            heapq.heappush(free, span.end)
            ready_at = span.end
        found[instance_id] = tuple(times)
    return found
