"""One rollout's life, on the worker: image, sandbox, agent, harvest, removal.

The agent runs in a thread; the rollout watches it, so that a person's stop, the wall clock and an
agent that hangs all end the same way: what changed in the sandbox is harvested while it lives.
"""

from __future__ import annotations

import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.agents import Agent, AgentKind
from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.agents.context import AgentContext
from orchestrator.agents.steps import Step, trajectory_json
from orchestrator.backends import Assignment, Sandbox, SandboxSpec
from orchestrator.endpoint.client import ChatClient
from orchestrator.errors import (
    AgentCrashed,
    InfraError,
    Interrupted,
    SandboxUnavailable,
)
from orchestrator.gateway.link import Link
from orchestrator.types import (
    Failure,
    Outcome,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
)
from orchestrator.worker.backend import backend_of
from orchestrator.worker.harvest import Baseline, harvest, inspect_repository

WATCH_S = 0.25
OVERTIME_S = 30.0
"""How long past its wall clock an agent may take to notice by itself."""
QUIET_S = 20.0
"""A server without a sign of life for longer may hang."""
HELD_EVERY_S = 2.0
"""How often the gateway is asked how long it has held this rollout's requests."""


@dataclass(frozen=True)
class RolloutRequest:
    """Everything that a worker needs for one rollout; it reads no other state."""

    assignment: Assignment
    base_url: str = ""
    api_key: str = ""
    agent: AgentKind = field(kw_only=True)

    @property
    def key(self) -> RolloutKey:
        return self.assignment.key


@dataclass(frozen=True)
class Progress:
    """What a rollout is doing, for the display."""

    key: RolloutKey
    phase: str
    steps: int = 0
    activity: str = ""
    new_steps: tuple[Step, ...] = ()
    """What the agent did since the last of these; told where `rollout.show_steps` wants it."""
    steps_told: int = 0
    """How many steps have been told with this."""


@dataclass
class _Phases:
    """Seconds spent by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


def roll_out(
    request: RolloutRequest, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Progress | RolloutResult]:
    """Run one rollout; yields progress now and then, and as its last value the result.

    Never raises for what the world or the agent does: that is in the result.
    """
    started_at = time.time()
    phases = _Phases()
    assignment = request.assignment
    config, instance, key = assignment.config, assignment.instance, assignment.key
    not_finished = Failure(Interrupted.kind, "not finished")
    result = RolloutResult(RolloutRecord(key, failure=not_finished, started_at=started_at))

    pulled = False
    agent = request.agent.create()

    def progress(phase: str, run: _AgentRun | None = None) -> Progress:
        event = Progress(key, phase)
        return run.told(event) if run else event

    try:
        yield progress("image")
        mounts = agent.prepare(config.cluster.sandbox.platform)
        with phases("image"):
            backend = backend_of(assignment)
            pulled = backend.bring_image(instance, config.cluster)
        yield progress("sandbox")
        with phases("sandbox"):
            sandbox = backend.start(SandboxSpec.of(assignment, mounts))
        try:
            with phases("sandbox"):
                baseline = inspect_repository(sandbox, instance)
            with tempfile.TemporaryDirectory(
                prefix="rollout-", ignore_cleanup_errors=True
            ) as folder:
                run = _AgentRun(request, agent, sandbox, baseline, Path(folder))
                with phases("agent"):
                    for _ in run.watch(should_stop):
                        yield progress("agent", run)
                yield progress("harvest", run)
                with phases("harvest"):
                    result = run.result(started_at)
        finally:
            with phases("remove"):
                sandbox.close()
    except InfraError as error:
        failed = replace(result.record, failure=Failure(error.kind, str(error)))
        result = replace(result, record=failed)
    finally:
        agent.close()
    no_grade = result.outcome is not None and not result.record.has_patch
    if pulled and no_grade and not config.cluster.images.keep:
        backend.evict_image(instance)
    record = replace(result.record, ended_at=time.time(), phases_s=phases.seconds)
    yield replace(result, record=record, image_pulled=pulled)


class _AgentRun:
    """An agent at work in its thread, and what becomes of it."""

    def __init__(
        self,
        request: RolloutRequest,
        agent: Agent,
        sandbox: Sandbox,
        baseline: Baseline,
        output_dir: Path,
    ) -> None:
        self._request = request
        self._sandbox = sandbox
        self._baseline = baseline
        self._output_dir = output_dir
        self._agent = agent
        self._link = Link(request.base_url, request.api_key)
        config = request.assignment.config
        model = config.model
        context_length = model.context_length if model else None
        self.budget = Budget(config.rollout, self._link.held_s, context_length)
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._told = 0
        self._stopped = False
        self._overran = False

    def told(self, event: Progress) -> Progress:
        """The event with where the agent has got to, and its new steps if they are to be shown."""
        budget, new = self.budget, tuple[Step, ...]()
        if budget.limits.show_steps:
            new = tuple(budget.steps[self._told :])
            self._told += len(new)
        return replace(
            event,
            steps=budget.usage.steps,
            activity=budget.activity,
            new_steps=new,
            steps_told=self._told,
        )

    def watch(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Start the agent and wait for its end, a stop, or overtime. Yields when it has moved."""
        thread = threading.Thread(target=self._work, daemon=True, name="agent")
        thread.start()
        seen: tuple[int, int, str] = (0, 0, "")
        asked_at = time.monotonic()
        with self._link:
            while thread.is_alive():
                thread.join(WATCH_S)
                if not thread.is_alive():
                    break  # how it ended counts, and not what was about to end it
                if time.monotonic() - asked_at > HELD_EVERY_S:
                    asked_at = time.monotonic()
                    self.budget.refresh()
                if should_stop():
                    self._stopped = True
                    self._agent.close()
                    return
                # a server that may hang is not the agent's time: the gateway will know presently
                if self.budget.time_left_s < -OVERTIME_S and self._link.quiet_s < QUIET_S:
                    self._overran = True
                    self._agent.close()
                    return
                budget = self.budget
                state = (budget.usage.steps, len(budget.steps), budget.activity)
                if state != seen:
                    seen = state
                    yield
            self.budget.refresh()
            yield

    def _work(self) -> None:
        request = self._request
        try:
            with ChatClient(request.base_url, request.api_key) as client:
                context = AgentContext(
                    request.assignment.instance,
                    self._sandbox,
                    self._baseline.tree,
                    self._output_dir,
                    self.budget,
                    client,
                    request.assignment.sealed_answer,
                )
                self._outcome = self._agent.run(context)
        except LimitReached as limit:
            self._outcome = limit.outcome
        except BaseException as error:  # noqa: BLE001 - the boundary to the agent's code
            # whatever it raises ends as a recorded failure
            self._error = error

    def result(self, started_at: float) -> RolloutResult:
        """Harvest, and tell the outcome or the failure. Raises SandboxUnavailable."""
        failure = self._failure()
        patch, remarks = self._harvest(failure)
        files = self._files()
        common = RolloutRecord(
            self._request.key,
            outcome=Outcome.GAVE_UP,
            usage=self.budget.usage,
            started_at=started_at,
            notes=(*self._baseline.notes, *remarks),
        )
        if failure is not None:
            failed = replace(common, outcome=None, failure=failure)
            return RolloutResult(failed, partial_patch=patch, files=files)
        outcome = Outcome.TIME_LIMIT if self._overran else self._outcome
        assert outcome is not None, "an agent that has not failed says how it ended"
        if outcome is Outcome.SUBMITTED and not patch:
            outcome = Outcome.GAVE_UP
        salvaged = bool(patch) and outcome is not Outcome.SUBMITTED
        record = replace(common, outcome=outcome, salvaged=salvaged)
        return RolloutResult(record, patch=patch, files=files)

    def _harvest(self, failure: Failure | None) -> tuple[str, tuple[str, ...]]:
        """The patch, and remarks. Where the sandbox is gone, what the agent saw of it last counts
        if the agent had come to its end, and is something to look at if it had not."""
        try:
            return harvest(self._sandbox, self._baseline)
        except SandboxUnavailable:
            last = self._agent.last_patch()
            if failure is None and (self._outcome is None or not last):
                raise
            said = "the sandbox was gone: the patch is the agent's own last diff"
            return last, (said,) if last else ()

    def _failure(self) -> Failure | None:
        if self._stopped:
            return Failure(Interrupted.kind, "stopped by hand")
        if self._overran and not self.budget.usage.steps:
            return Failure(AgentCrashed.kind, "not one step within the time limit")
        if self._overran:
            return None  # what the agent meets when its requests are dropped is not its end
        if isinstance(self._error, InfraError):
            return Failure(self._error.kind, str(self._error))
        if self._error is not None:
            last = traceback.format_exception_only(self._error)[-1].strip()
            return Failure(AgentCrashed.kind, last[:500])
        return None

    def _files(self) -> dict[str, bytes]:
        """What the agent wrote, its steps, and the traceback of a crash."""
        files = {
            path.name: path.read_bytes()
            for path in sorted(self._output_dir.iterdir())
            if path.is_file() and path.stat().st_size
        }
        if self.budget.steps:
            files["trajectory.json"] = trajectory_json(self.budget.steps).encode("utf-8")
        if self._error is not None and not isinstance(self._error, InfraError):
            files["traceback.txt"] = "".join(traceback.format_exception(self._error)).encode()
        return files
