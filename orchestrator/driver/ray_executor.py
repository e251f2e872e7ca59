"""The executor on Ray: a rollout is a task, a grade is a call of an actor, and so is what is done
with images, by one actor on each node.

Nodes of a cluster offer `rollout_slot` and `grade_slot` as custom resources. A rollout is a
streaming task, so that its progress arrives while it runs; its last value is its result. Only this
module, and those that connect it (`ray_connection`, `ray_head`), import Ray.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
import ray.exceptions
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.driver.executor import Event, NodeSlots
from orchestrator.driver.ray_connection import (
    GRADE_SLOT,
    ROLLOUT_SLOT,
    RayConnection,
    last_line,
    node_id_of,
    slots_by_host,
)
from orchestrator.errors import InfraError, InternalError, WorkerLost
from orchestrator.images.pulls import PullProblem
from orchestrator.stop_signals import sit_out
from orchestrator.types import GradeResult, RolloutRecord, RolloutResult
from orchestrator.worker.failures import TRACEBACK, summary_of
from orchestrator.worker.grade import grade
from orchestrator.worker.images import do_image_work, nothing_came_of
from orchestrator.worker.messages import (
    ImageEvent,
    ImageGone,
    ImageRequest,
    Progress,
    PullProgress,
    RolloutRequest,
)
from orchestrator.worker.rollout import roll_out

_STREAMING: dict[str, Any] = {
    "num_returns": "streaming",
    "_generator_backpressure_num_objects": 1,
}
"""A worker goes on when the driver has taken what it said last."""
_ROLLOUT = {"num_cpus": 0, "max_retries": 0, **_STREAMING}
_GRADER = {"num_cpus": 0}
_IMAGE_ACTOR = {"num_cpus": 0, "max_concurrency": 16}
"""So many things it does at once; more wait."""
STOP_POLL_S = 1.0


@dataclass(frozen=True)
class _Running:
    """A task under way: what it was asked, and since when."""

    request: RolloutRequest | GradeRequest | ImageRequest
    started_at: float
    grader: Any = None
    """The actor that a grade runs on."""


class RayExecutor:
    """On a connection that stands, which it closes."""

    def __init__(
        self,
        connection: RayConnection,
        rollout_slots: int,
        grade_slots: int,
        run_ids: Sequence[str],
    ) -> None:
        """The slots are those of a local Ray, of which the driver alone keeps count; the nodes of a
        cluster offer theirs. `run_ids` are those whose rollouts it runs."""
        self._run_ids = run_ids
        self._tasks: dict[Any, _Running] = {}
        self._refused: list[Event] = []
        """What `poll` says next without any task."""
        self._connection = connection
        self._rollout = ray.remote(_rollout_task)
        self._grader, self._image_actor = ray.remote(_Grader), ray.remote(_ImageActor)
        self._idle_graders: dict[str, list[Any]] = defaultdict(list)
        """By node."""
        self._image_actors: dict[str, Any] = {}
        """By node; each starts when something is first asked of it, as it takes a process."""
        is_local = connection.local is not None
        self._local_slots = (NodeSlots("", rollout_slots, grade_slots),) if is_local else ()

    @property
    def session_dir(self) -> str:
        """The folder of the local Ray; it stands in the command lines of all its processes."""
        return self._connection.session_dir

    def nodes(self) -> tuple[NodeSlots, ...]:
        """See `Executor`. Of several nodes of a cluster on one host, one counts."""
        return self._local_slots or tuple(NodeSlots(*offer) for offer in slots_by_host())

    def _in(self, slot: str) -> dict[str, Any]:
        """Ray's options for what takes a slot of a node."""
        return {} if self._local_slots else {"resources": {slot: 1}}

    def submit_rollout(self, request: RolloutRequest) -> None:
        def start(there: dict[str, Any]) -> tuple[Any, Any]:
            return self._rollout.options(**self._in(ROLLOUT_SLOT), **_ROLLOUT, **there).remote(
                request
            ), None

        self._submit(request, request.assignment.node, start)

    def submit_grade(self, request: GradeRequest) -> None:
        idle = self._idle_graders[request.assignment.node]

        def start(there: dict[str, Any]) -> tuple[Any, Any]:
            options = {**self._in(GRADE_SLOT), **_GRADER, **there}
            grader = idle.pop() if idle else self._grader.options(**options).remote()
            return grader.grade.options(**_STREAMING).remote(request), grader

        self._submit(request, request.assignment.node, start)

    def submit_image_work(self, request: ImageRequest) -> None:
        def start(there: dict[str, Any]) -> tuple[Any, Any]:
            if request.node not in self._image_actors:
                actor = self._image_actor.options(**_IMAGE_ACTOR, **there).remote()
                self._image_actors[request.node] = actor
            actor = self._image_actors[request.node]
            return actor.do.options(**_STREAMING).remote(request), None

        self._submit(request, request.node, start)

    def _submit(
        self,
        request: RolloutRequest | GradeRequest | ImageRequest,
        node: str,
        start: Callable[[dict[str, Any]], tuple[Any, Any]],
    ) -> None:
        """`start` takes Ray's options for the node, and gives the task, and a grade's actor.

        Where there is no such node any more, `poll` says that it is lost.
        """
        running, there = _Running(request, time.time()), dict[str, Any]()
        try:
            if node:
                node_id = node_id_of(node)
                if node_id is None:
                    raise WorkerLost(f"{node} is in the cluster no more")
                there["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node_id, soft=False)
            task, grader = start(there)
        except (WorkerLost, ray.exceptions.RayError) as error:
            self._forget_actor(running)
            self._refused.append(_lost(running, error))
        else:
            self._tasks[task] = replace(running, grader=grader)

    def poll(self, timeout_s: float) -> list[Event]:
        """See `Executor`. Raises PrerequisiteError where the local Ray has ended."""
        self._connection.require_alive()
        if self._refused:
            refused, self._refused = self._refused, []
            return refused
        if not self._tasks:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self._tasks), num_returns=1, timeout=timeout_s)
        if ready:
            more, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
            ready = list(dict.fromkeys([*ready, *more]))
        return [event for task in ready for event in self._take(task)]

    def stop_now(self) -> None:
        for run_id in self._run_ids:
            internal_kv._internal_kv_put(_stop_key(run_id), b"1")

    def close(self) -> None:
        if self._connection.local is None:  # a local Ray, which may have ended, forgets all
            with contextlib.suppress(Exception):
                for run_id in self._run_ids:
                    internal_kv._internal_kv_del(_stop_key(run_id))
        self._tasks.clear()
        self._idle_graders.clear()
        self._image_actors.clear()
        self._connection.close()

    def _take(self, task: Any) -> Iterator[Event]:
        """One value of a task that has one; a task that died becomes a failure."""
        running = self._tasks[task]
        try:
            value = ray.get(next(task))
        except StopIteration:
            del self._tasks[task]
            return
        except ray.exceptions.RayError as error:
            del self._tasks[task]
            self._forget_actor(running)
            yield _lost(running, error)
            return
        if not isinstance(value, Progress | PullProgress):
            del self._tasks[task]
            if isinstance(running.request, GradeRequest):
                self._idle_graders[running.request.assignment.node].append(running.grader)
        yield value

    def _forget_actor(self, running: _Running) -> None:
        """The next request for images there has another."""
        if not isinstance(running.request, RolloutRequest | GradeRequest):
            self._image_actors.pop(running.request.node, None)


class _Grader:
    """A worker of its own for grades, one after the other, as an actor shares its process with no
    task: the harness takes 100 MB that a rollout's worker need not carry."""

    def grade(self, request: GradeRequest) -> Iterator[ImageGone | GradeResult]:
        sit_out()
        yield from grade(request)


class _ImageActor:
    """A worker of its own for a node's images: pulls go on beside evictions and questions, each in
    a thread, and outlive the rollouts."""

    def __init__(self) -> None:
        sit_out()

    def do(self, request: ImageRequest) -> Iterator[ImageEvent]:
        yield from do_image_work(request)


def _rollout_task(request: RolloutRequest) -> Iterator[Progress | ImageGone | RolloutResult]:
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


def _lost(
    running: _Running, error: WorkerLost | ray.exceptions.RayError
) -> RolloutResult | GradeResult | ImageEvent:
    """A task that died is a lost worker, as is one that its node has not the code for; one that
    raised otherwise, though it never should, is our bug."""
    request, files = running.request, dict[str, bytes]()
    if not isinstance(request, RolloutRequest | GradeRequest):
        return nothing_came_of(request, PullProblem.ENGINE, f"a worker died: {summary_of(error)}")
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
