"""The executor on Ray: a rollout is a task, a grade is a call of an actor.

Nodes offer `rollout_slot` and `grade_slot` as custom resources. A rollout is a streaming task, so
that its progress arrives while it runs; its last value is its result. Only this module, and those
that connect it (`ray_connection`, `ray_head`), import Ray.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
import ray.exceptions
from ray.experimental import internal_kv

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.driver.executor import Event
from orchestrator.driver.ray_connection import (
    GRADE_SLOT,
    ROLLOUT_SLOT,
    join,
    last_line,
    start_local,
)
from orchestrator.errors import InfraError, InternalError, WorkerLost
from orchestrator.stop_signals import sit_out
from orchestrator.types import GradeResult, RolloutRecord, RolloutResult
from orchestrator.worker.failures import TRACEBACK, summary_of
from orchestrator.worker.grade import grade
from orchestrator.worker.messages import Progress, RolloutRequest
from orchestrator.worker.rollout import roll_out

STOP_POLL_S = 1.0


@dataclass(frozen=True)
class _Running:
    """A task under way: what it was asked, and since when."""

    request: RolloutRequest | GradeRequest
    started_at: float
    grader: Any = None
    """The actor that a grade runs on."""


class RayExecutor:
    """Local by default; `address` joins a cluster whose nodes offer our resources."""

    def __init__(
        self, rollout_slots: int, grade_slots: int, address: str | None, run_id: str
    ) -> None:
        """Raises PrerequisiteError where Ray can't start, or the cluster lacks our resources."""
        self._run_id = run_id
        self._tasks: dict[Any, _Running] = {}
        if address is None:
            self._connection = start_local(rollout_slots, grade_slots)
        else:
            self._connection = join(address)
        self._rollout = ray.remote(_rollout_task).options(
            num_cpus=0, resources={ROLLOUT_SLOT: 1}, max_retries=0, num_returns="streaming"
        )
        self._grader = ray.remote(_Grader).options(num_cpus=0, resources={GRADE_SLOT: 1})
        self._idle_graders: list[Any] = []

    @property
    def session_dir(self) -> str:
        """The folder of the local Ray; it stands in the command lines of all its processes."""
        return self._connection.session_dir

    def submit_rollout(self, request: RolloutRequest) -> None:
        self._tasks[self._rollout.remote(request)] = _Running(request, time.time())

    def submit_grade(self, request: GradeRequest) -> None:
        grader = self._idle_graders.pop() if self._idle_graders else self._grader.remote()
        self._tasks[grader.grade.remote(request)] = _Running(request, time.time(), grader)

    def poll(self, timeout_s: float) -> list[Event]:
        if not self._tasks:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self._tasks), num_returns=1, timeout=timeout_s)
        if ready:
            more, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
            ready = list(dict.fromkeys([*ready, *more]))
        return [event for task in ready for event in self._take(task)]

    def stop_now(self) -> None:
        internal_kv._internal_kv_put(_stop_key(self._run_id), b"1")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            internal_kv._internal_kv_del(_stop_key(self._run_id))
        self._tasks.clear()
        self._idle_graders.clear()
        self._connection.close()

    def _take(self, task: Any) -> Iterator[Event]:
        """One value of a task that has one; a task that died becomes a failure."""
        running = self._tasks[task]
        try:
            ref = next(task) if isinstance(running.request, RolloutRequest) else task
            value = ray.get(ref)
        except StopIteration:
            del self._tasks[task]
            return
        except ray.exceptions.RayError as error:
            del self._tasks[task]
            yield _lost(running, error)
            return
        if not isinstance(value, Progress):
            del self._tasks[task]
        if running.grader is not None:
            self._idle_graders.append(running.grader)
        yield value


class _Grader:
    """A worker of its own for grades, one after the other, as an actor shares its process with no
    task: the harness takes 100 MB that a rollout's worker need not carry."""

    def grade(self, request: GradeRequest) -> GradeResult:
        sit_out()
        return grade(request)


def _rollout_task(request: RolloutRequest) -> Iterator[Progress | RolloutResult]:
    sit_out()
    yield from roll_out(request, _stop_flag(request.assignment.key.run_id))


def _stop_flag(run_id: str) -> Callable[[], bool]:
    """Whether the driver has asked what runs to end; asks the cluster once a second at most."""
    asked_at = 0.0
    stop = False

    def should_stop() -> bool:
        nonlocal asked_at, stop
        if not stop and time.monotonic() - asked_at >= STOP_POLL_S:
            asked_at = time.monotonic()
            stop = internal_kv._internal_kv_get(_stop_key(run_id)) is not None
        return stop

    return should_stop


def _stop_key(run_id: str) -> bytes:
    return f"swe-orchestrator:stop:{run_id}".encode()


def _lost(running: _Running, error: ray.exceptions.RayError) -> RolloutResult | GradeResult:
    """A task that died is a lost worker, as is one that its node has not the code for; one that
    raised otherwise, though it never should, is our bug."""
    request, files = running.request, dict[str, bytes]()
    problem: InfraError
    if isinstance(error, ray.exceptions.RayTaskError):
        # its cause is Ray's own error where the worker could not unpack the request
        raised = last_line(error)
        lacks_code = raised.startswith(("ImportError", "ModuleNotFoundError"))
        problem = (WorkerLost if lacks_code else InternalError)(raised)
        files[TRACEBACK] = str(error).encode("utf-8", "replace")
    else:
        problem = WorkerLost(summary_of(error))
    if isinstance(request, GradeRequest):
        return grade_result(request, running.started_at, files, {}, problem)
    record = RolloutRecord(
        request.key,
        failure=problem.failure,
        started_at=running.started_at,
        ended_at=time.time(),
    )
    return RolloutResult(record, files=files)
