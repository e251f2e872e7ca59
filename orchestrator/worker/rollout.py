"""One rollout on the worker: image, sandbox, agent, harvest, removal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from orchestrator.agents import Agent
from orchestrator.backends import SandboxSpec
from orchestrator.errors import AgentCrashed, ImageUnavailable, InfraError, Interrupted
from orchestrator.gateway.messages import begun_anew
from orchestrator.paths import working_folder
from orchestrator.types import Future, RolloutRecord, RolloutResult
from orchestrator.worker.agent_run import AgentRun
from orchestrator.worker.backend import backend_of
from orchestrator.worker.failures import summary_of, unforeseen
from orchestrator.worker.future import HoldsFuture, keep_the_future_out
from orchestrator.worker.images import is_gone
from orchestrator.worker.messages import ImageGone, Progress, RolloutRequest
from orchestrator.worker.set_up import Search, look_at

ShouldStop = Callable[[], bool]


class _ImageIsGone(Exception):
    """The driver brings it again, and starts the rollout anew."""


@dataclass
class _Account:
    """What a rollout took so far, however it ends."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By phase."""
    result: RolloutResult | None = None
    """Once there is one, it stays, whatever goes wrong while the rollout is cleaned up."""
    image: str = ""
    future: Future | None = None
    """As the record has them, once they are known."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


def roll_out(
    request: RolloutRequest, should_stop: ShouldStop = lambda: False
) -> Iterator[Progress | ImageGone | RolloutResult]:
    """Run one rollout; yields progress now and then, and as its last value the result, or that
    its image is gone.

    Never raises: what the world does, the agent, or a bug of ours, is in the result.
    """
    started_at, account = time.time(), _Account()
    try:
        try:
            yield from _with_agent(request, account, should_stop, is_clean_first=False)
        except HoldsFuture:
            yield from _anew(request, account, should_stop)
    except _ImageIsGone:
        yield ImageGone(request.key)
        return
    except InfraError as error:
        result = _failed(request, account, error, {})
    except Exception as error:  # noqa: BLE001 - the boundary of the worker: it ends as a failure
        result = _failed(request, account, *unforeseen(error))
    else:
        assert account.result is not None
        result = account.result
    record = replace(
        result.record,
        started_at=started_at,
        ended_at=time.time(),
        phases_s=account.seconds,
        image=account.image,
        future=account.future,
    )
    yield replace(result, record=record)


def _failed(
    request: RolloutRequest, account: _Account, error: InfraError, files: Mapping[str, bytes]
) -> RolloutResult:
    """The rollout's result after an error: a failure, or a note where there was a result before."""
    earlier = account.result
    if earlier is None:
        return RolloutResult(RolloutRecord(request.key, failure=error.failure), files=files)
    note = f"on the way out: {error}"
    record = replace(earlier.record, notes=(*earlier.record.notes, note))
    return replace(earlier, record=record, files={**earlier.files, **files})


def _anew(
    request: RolloutRequest, account: _Account, should_stop: ShouldStop
) -> Iterator[Progress]:
    """Nothing of what the first agent did is left but its question to the model, on record."""
    if should_stop():
        raise Interrupted("stopped by hand")
    request = replace(request, base_url=begun_anew(request.base_url))
    try:
        yield from _with_agent(request, account, should_stop, is_clean_first=True)
    except _ImageIsGone:  # under this rollout's name the gateway lets nobody begin a third time
        image = request.assignment.instance.image
        raise ImageUnavailable(f"{image} was removed while the rollout began anew") from None


def _with_agent(
    request: RolloutRequest, account: _Account, should_stop: ShouldStop, *, is_clean_first: bool
) -> Iterator[Progress]:
    """Make the agent before the sandbox, so that what it needs starts meanwhile.

    Unless it `is_clean_first`, the agent may start while the sandbox is still looked at for its
    future. Raises HoldsFuture where it then holds it.
    """
    yield Progress(request.key, "image")
    with _agent_errors_as_crashes():
        agent = request.agent.create()
    try:
        with _agent_errors_as_crashes():
            mounts = agent.prepare(request.assignment.config.cluster.sandbox.platform)
        is_clean_first = is_clean_first or not request.agent.leaves_repository_alone
        yield from _in_sandbox(request, agent, mounts, account, should_stop, is_clean_first)
    finally:
        agent.close()


def _in_sandbox(
    request: RolloutRequest,
    agent: Agent,
    mounts: tuple[str, ...],
    account: _Account,
    should_stop: ShouldStop,
    is_clean_first: bool,
) -> Iterator[Progress]:
    assignment = request.assignment
    with account.phase("image"):
        backend = backend_of(assignment)
        if is_gone(backend, assignment):
            raise _ImageIsGone
        backend.bring_image(assignment.instance, assignment.config.cluster)
    yield Progress(request.key, "sandbox")
    spec = SandboxSpec.of(assignment, mounts)
    with account.phase("sandbox"):
        sandbox = backend.start(spec)
    try:
        with account.phase("sandbox"):
            account.image = sandbox.image
            baseline, search = look_at(sandbox, spec, assignment.instance)
            if search.is_over or is_clean_first:
                account.future = keep_the_future_out(sandbox, assignment, search.wait())
                search = Search.known(Future({}))
        with working_folder(assignment.run_dir, "rollout") as folder:
            run = AgentRun(request, agent, sandbox, baseline, folder, search)
            with account.phase("agent"):
                for _ in run.watch(should_stop):
                    yield run.progress("agent")
                account.future = account.future or run.future()
            yield run.progress("harvest")
            with account.phase("harvest"):
                account.result = run.result()
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
        raise AgentCrashed(summary_of(error)) from error
