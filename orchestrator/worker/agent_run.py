"""An agent at work in a thread of its own, watched from the rollout's.

So it can be ended by a person, or by the clock where it hangs. However it ends, what changed is
harvested while the sandbox lives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.agents import Agent
from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.agents.context import AgentContext
from orchestrator.agents.steps import Step, trajectory_json
from orchestrator.backends import Sandbox
from orchestrator.endpoint.client import ChatClient
from orchestrator.errors import (
    AgentCrashed,
    InfraError,
    Interrupted,
    SandboxBroken,
    SandboxUnavailable,
)
from orchestrator.gateway.link import Link
from orchestrator.paths import TRAJECTORY
from orchestrator.types import (
    Failure,
    FailureKind,
    Future,
    Outcome,
    RolloutRecord,
    RolloutResult,
)
from orchestrator.worker.failures import TRACEBACK, summary_of, traceback_of
from orchestrator.worker.future import matters, require_harmless
from orchestrator.worker.harvest import Baseline, harvest
from orchestrator.worker.messages import Progress, RolloutRequest
from orchestrator.worker.set_up import Search

WATCH_S = 0.25
OVERTIME_S = 30.0
"""How long past its wall clock an agent may take to notice by itself."""
QUIET_S = 20.0
"""A server without a sign of life for longer may hang."""
PROBES = 2
PROBE_TIMEOUT_S = 10.0
PROBE_EVERY_S = 2.0
"""A sandbox is asked so often whether it still runs commands: an engine may be back in a moment."""
RENEWED = "the sandbox ran no commands any more: its repository was read in another one"
HELD_EVERY_S = 2.0
"""How often the gateway is asked how long it has held this rollout's requests."""


class AgentRun:
    """Runs an agent, and makes the rollout's result from how it ended."""

    def __init__(
        self,
        request: RolloutRequest,
        agent: Agent,
        sandbox: Sandbox,
        baseline: Baseline,
        output_dir: Path,
        search: Search,
    ) -> None:
        """`search` may still be under way: until it is over, the agent gets no answer, and has
        changed nothing."""
        self._search = search
        self._integrity = request.assignment.config.rollout.integrity
        self._request = request
        self._sandbox = sandbox
        self._baseline = baseline
        self._output_dir = output_dir
        self._agent = agent
        self._link = Link(request.base_url, request.api_key)
        model = request.assignment.config.model
        context_length = model.context_length if model else None
        self.budget = Budget(request.assignment.limits, self._link.held_s, context_length)
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._steps_sent = 0
        self._stopped = False
        self._overran = False
        self._is_renewed = False

    def progress(self, phase: str) -> Progress:
        """What the agent does now, and its new steps if they are to be shown."""
        budget, new = self.budget, tuple[Step, ...]()
        if budget.limits.show_steps:
            new = tuple(budget.steps[self._steps_sent :])
            self._steps_sent += len(new)
        return Progress(
            self._request.key,
            phase,
            budget.usage.steps,
            budget.activity,
            new,
            self._steps_sent,
            budget.calls.broken if budget.calls is not None else 0,
        )

    def watch(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Start the agent and wait for its end, a stop, or overtime. Yields when it got on."""
        thread = threading.Thread(target=self._work, daemon=True, name="agent")
        thread.start()
        seen: tuple[int, int, str] = (0, 0, "")
        asked_at = time.monotonic()
        with self._link:
            while thread.is_alive():
                thread.join(WATCH_S)
                if not thread.is_alive():
                    break  # its own end counts, even if it was about to be stopped
                if time.monotonic() - asked_at > HELD_EVERY_S:
                    asked_at = time.monotonic()
                    self.budget.refresh()
                if self._has_found_future():
                    self._agent.close()
                    return
                if should_stop():
                    self._stopped = True
                    self._agent.close()
                    return
                # a server may hang, and its time be held: the gateway will know in a moment
                is_late = self.budget.time_left_s < -OVERTIME_S and self._search.is_over
                if is_late and self._link.quiet_s < QUIET_S:
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
            while not (self._stopped or self._search.is_over):
                self._search.wait_for(WATCH_S)
                self._stopped = should_stop()

    def future(self) -> Future | None:
        """What the sandbox was found to hold of its future; None: nothing, or a person said stop
        before that mattered.

        Raises:
            HoldsFuture: what the agent has done counts for nothing.
            ImageUnavailable: its repository can't be kept.
            SandboxUnavailable: the sandbox was gone before that was known.
        """
        if self._stopped and (not self._search.is_over or self._has_found_future()):
            return None
        return self._require_sandbox()

    def _require_sandbox(self) -> Future | None:
        """The same, without a way around it."""
        return require_harmless(self._search.wait(), self._integrity)

    def _has_found_future(self) -> bool:
        try:
            return self._search.is_over and matters(self._search.wait(), self._integrity)
        except InfraError:
            return False  # the agent meets that by itself

    def _work(self) -> None:
        request = self._request
        try:
            with ChatClient(request.base_url, request.api_key) as client:
                context = AgentContext(
                    request.assignment.instance,
                    self._sandbox,
                    self._baseline.diff_command(self._sandbox.workdir),
                    self._output_dir,
                    self.budget,
                    client,
                    request.assignment.sealed_answer,
                    self._require_sandbox,
                )
                self._outcome = self._agent.run(context)
        except LimitReached as limit:
            self._outcome = limit.outcome
        except BaseException as error:  # noqa: BLE001 - the boundary to the agent's code
            # whatever it raises ends as a recorded failure
            self._error = error

    def result(self) -> RolloutResult:
        """Harvest; the rollout's result, but for its times. Raises SandboxUnavailable."""
        failure = self._blame(self._failure())
        patch, remarks = self._harvest(failure)
        files = self._files()
        common = RolloutRecord(
            self._request.key,
            outcome=Outcome.GAVE_UP,
            usage=self.budget.usage,
            notes=remarks,
            calls=self.budget.calls,
            unusable_answers=self.budget.unusable_answers,
        )
        if failure is not None:
            failed = replace(common, outcome=None, failure=failure)
            return RolloutResult(failed, partial_patch=patch, files=files)
        outcome = Outcome.TIME_LIMIT if self._overran else self._outcome
        assert outcome is not None, "who has not failed has an outcome"
        if outcome is Outcome.SUBMITTED and not patch:
            outcome = Outcome.GAVE_UP
        salvaged = bool(patch) and outcome is not Outcome.SUBMITTED
        record = replace(common, outcome=outcome, salvaged=salvaged)
        return RolloutResult(record, patch=patch, files=files)

    def _harvest(self, failure: Failure | None) -> tuple[str, tuple[str, ...]]:
        """The patch, and notes about it.

        Where the sandbox works no longer, it is renewed first. Where it is gone, the agent's own
        last diff counts if the agent had ended, and is a partial patch if it had not.
        """
        if not self._search.is_over:
            return "", ()
        try:
            try:
                patch, remarks = harvest(self._sandbox, self._baseline)
            except SandboxUnavailable:
                is_broken = failure is not None and failure.kind is FailureKind.SANDBOX_BROKEN
                if self._is_renewed or not (failure is None or is_broken):
                    raise
                self._renew()
                patch, remarks = harvest(self._sandbox, self._baseline)
            return patch, (*remarks, RENEWED) if self._is_renewed else remarks
        except (SandboxUnavailable, SandboxBroken):
            last = self._agent.last_patch()
            if failure is None and (self._outcome is None or not last):
                raise
            note = "the sandbox was gone: the patch is the agent's own last diff"
            return last, (note,) if last else ()

    def _blame(self, failure: Failure | None) -> Failure | None:
        """A sandbox that fails an agent at work is broken where it is there, runs no commands, and
        another one does with the same repository: then engine and host are well."""
        if failure is None or failure.kind is not FailureKind.SANDBOX_UNAVAILABLE:
            return failure
        if not self.budget.usage.steps or self._runs_commands():
            return failure
        try:
            self._renew()
        except SandboxUnavailable:
            return failure
        except SandboxBroken as error:
            return error.failure
        return SandboxBroken(failure.detail).failure if self._runs_commands() else failure

    def _renew(self) -> None:
        self._sandbox.renew((self._baseline.folder,))
        self._is_renewed = True

    def _runs_commands(self) -> bool:
        limit_s = self._sandbox.patience(PROBE_TIMEOUT_S)
        for probe in range(PROBES):
            if probe:
                time.sleep(PROBE_EVERY_S)
            try:
                result = self._sandbox.exec("echo it works", limit_s)
            except SandboxUnavailable:
                continue
            if result.text == "it works\n":
                return True
        return False

    def _failure(self) -> Failure | None:
        if self._stopped:
            return Interrupted("stopped by hand").failure
        if self._overran and not self.budget.usage.steps:
            return AgentCrashed("not one step within the time limit").failure
        if self._overran:
            return None  # an error that its dropped requests caused does not count
        if isinstance(self._error, InfraError):
            return self._error.failure
        if self._error is not None:
            return AgentCrashed(summary_of(self._error)).failure
        if not isinstance(self._outcome, Outcome):  # somebody else's agent may say anything
            return AgentCrashed(f"it ended with {self._outcome!r}, no Outcome"[:500]).failure
        return None

    def _files(self) -> dict[str, bytes]:
        """The agent's own files, its trajectory, and the traceback of a crash."""
        files = {
            path.name: path.read_bytes()
            for path in sorted(self._output_dir.iterdir())
            if path.is_file() and path.stat().st_size
        }
        if self.budget.steps:
            files[TRAJECTORY] = trajectory_json(self.budget.steps).encode("utf-8")
        if self._error is not None and not isinstance(self._error, InfraError):
            files[TRACEBACK] = traceback_of(self._error)
        return files
