"""One rollout on the worker: image, sandbox, agent, harvest, removal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.agents import Agent
from orchestrator.backends import SandboxSpec
from orchestrator.errors import AgentCrashed, InfraError
from orchestrator.types import RolloutRecord, RolloutResult
from orchestrator.worker.agent_run import AgentRun
from orchestrator.worker.backend import backend_of
from orchestrator.worker.failures import internal_error
from orchestrator.worker.harvest import inspect_repository
from orchestrator.worker.messages import Progress, RolloutRequest

ShouldStop = Callable[[], bool]


@dataclass
class _Account:
    """What a rollout took so far, however it ends."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By phase."""
    pulled: bool = False

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


def roll_out(
    request: RolloutRequest, should_stop: ShouldStop = lambda: False
) -> Iterator[Progress | RolloutResult]:
    """Run one rollout; yields progress now and then, and as its last value the result.

    Never raises: what the world does, the agent, or a bug of ours, is in the result.
    """
    started_at, account = time.time(), _Account()
    try:
        result = yield from _with_agent(request, account, should_stop)
    except InfraError as error:
        result = RolloutResult(RolloutRecord(request.key, failure=error.failure))
    except Exception as error:  # noqa: BLE001 - the boundary of the worker: a bug is recorded as one
        bug, files = internal_error(error)
        result = RolloutResult(RolloutRecord(request.key, failure=bug.failure), files=files)
    record = replace(
        result.record, started_at=started_at, ended_at=time.time(), phases_s=account.seconds
    )
    if account.pulled and record.outcome is not None and not record.has_patch:
        _evict_unless_kept(request)  # as there is no grade that would
    yield replace(result, record=record, image_pulled=account.pulled)


def _evict_unless_kept(request: RolloutRequest) -> None:
    assignment = request.assignment
    if not assignment.config.cluster.images.keep:
        backend_of(assignment).evict_image(assignment.instance)


def _with_agent(
    request: RolloutRequest, account: _Account, should_stop: ShouldStop
) -> Generator[Progress, None, RolloutResult]:
    """Make the agent before the sandbox, so that what it needs starts meanwhile."""
    yield Progress(request.key, "image")
    with _agent_errors_as_crashes():
        agent = request.agent.create()
    try:
        with _agent_errors_as_crashes():
            mounts = agent.prepare(request.assignment.config.cluster.sandbox.platform)
        return (yield from _in_sandbox(request, agent, mounts, account, should_stop))
    finally:
        agent.close()


def _in_sandbox(
    request: RolloutRequest,
    agent: Agent,
    mounts: tuple[str, ...],
    account: _Account,
    should_stop: ShouldStop,
) -> Generator[Progress, None, RolloutResult]:
    assignment = request.assignment
    with account.phase("image"):
        backend = backend_of(assignment)
        account.pulled = backend.bring_image(assignment.instance, assignment.config.cluster)
    yield Progress(request.key, "sandbox")
    with account.phase("sandbox"):
        sandbox = backend.start(SandboxSpec.of(assignment, mounts))
    try:
        with account.phase("sandbox"):
            baseline = inspect_repository(sandbox, assignment.instance)
        with tempfile.TemporaryDirectory(prefix="rollout-", ignore_cleanup_errors=True) as folder:
            run = AgentRun(request, agent, sandbox, baseline, Path(folder))
            with account.phase("agent"):
                for _ in run.watch(should_stop):
                    yield run.progress("agent")
            yield run.progress("harvest")
            with account.phase("harvest"):
                return run.result()
    finally:
        with account.phase("remove"):
            sandbox.close()


@contextmanager
def _agent_errors_as_crashes() -> Iterator[None]:
    """Exceptions of the agent's own code as AgentCrashed: they are no bug of ours."""
    try:
        yield
    except InfraError:
        raise
    except Exception as error:
        raise AgentCrashed(f"{type(error).__name__}: {error}"[:500]) from error
