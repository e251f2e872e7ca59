"""The executor on Ray: one worker process on each node, in which all that runs there has a thread.

A rollout waits for its model most of the time, so that one process does for many: eight took 690 MB
in processes of their own. A grade is a process that the worker's grade server forks. Where the
worker is killed, all that ran in it ends as `shared_worker_lost`; a rollout that has met that too
often runs *alone*, as a task in a process of its own, where a death is its own doing.

Everything streams: its progress arrives while it runs, and its last value is its result. Only this
module, and those that connect it (`ray_connection`, `ray_head`, `ray_preload`), import Ray.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
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
from orchestrator.errors import (
    InfraError,
    InternalError,
    PrerequisiteError,
    SharedWorkerLost,
    WorkerLost,
)
from orchestrator.images.pulls import PullProblem
from orchestrator.stop_signals import sit_out
from orchestrator.types import GradeResult, RolloutRecord, RolloutResult
from orchestrator.worker.failures import TRACEBACK, summary_of
from orchestrator.worker.graders import Graders
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
_ALONE = {"num_cpus": 0, "max_retries": 0, **_STREAMING}
IMAGE_THREADS = 16
"""So many things are done with a node's images at once; more wait."""
_WORKER_ENDED = (
    ray.exceptions.RayActorError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ActorUnschedulableError,
)
"""What Ray says of a node's worker that died, was killed by Ray's own watch over the memory, or can
start nowhere as its node has ended."""
STOP_POLL_S = 1.0
ANSWER_S = 300.0
"""A worker starts, and imports our code, on a host that may be short of memory."""
FAILED_STARTS = 3


@dataclass(frozen=True)
class _Running:
    """Something under way: what it was asked, since when, and on which node."""

    request: RolloutRequest | GradeRequest | ImageRequest
    started_at: float
    node: str
    worker: Any
    """The node's, or None: a process of its own."""


class RayExecutor:
    """Rollouts, grades and image work on the nodes of a Ray: one of this driver's own, or a
    cluster."""

    def __init__(
        self,
        connection: RayConnection,
        rollout_slots: int,
        grade_slots: int,
        run_ids: Sequence[str],
    ) -> None:
        """`run_ids` are those whose rollouts it runs. Closes the connection when it is closed."""
        self._connection = connection
        self._run_ids = run_ids
        self._tasks: dict[Any, _Running] = {}
        self._refused: list[Event] = []
        """What `poll` says next without any task."""
        self._alone, self._worker_class = ray.remote(_roll_out), ray.remote(_NodeWorker)
        self._workers: dict[str, Any] = {}
        """By node; each starts when something is first asked of it."""
        self._slots = NodeSlots("", rollout_slots, grade_slots)
        self._awaited: dict[str, tuple[Any, float]] = {}
        """By node: that its worker is up, and until when to wait for that."""
        self._up: set[str] = set()
        """Nodes whose worker has answered."""
        self._failed_starts = 0
        """Of workers, in a row."""
        if connection.local is not None:  # what comes first need not wait for it then
            self._worker(self._slots)

    @property
    def session_dir(self) -> str:
        """The folder of the local Ray; it stands in the command lines of all its processes."""
        return self._connection.session_dir

    def nodes(self) -> tuple[NodeSlots, ...]:
        """See `Executor`. Of several nodes of a cluster on one host, one counts."""
        if self._connection.local is not None:
            return (self._slots,)
        return tuple(NodeSlots(*offer) for offer in slots_by_host())

    def submit_rollout(self, request: RolloutRequest) -> None:
        self._submit(request, request.assignment.node)

    def submit_grade(self, request: GradeRequest) -> None:
        self._submit(request, request.assignment.node)

    def submit_image_work(self, request: ImageRequest) -> None:
        self._submit(request, request.node)

    def _submit(self, request: RolloutRequest | GradeRequest | ImageRequest, node: str) -> None:
        """Where there is no such node any more, `poll` says that it is lost."""
        running = _Running(request, time.time(), node, None)
        try:
            slots = self._place(request, node)
            if isinstance(request, RolloutRequest) and request.alone:
                options = {**_ALONE, **_on(slots.name)}
                self._tasks[self._alone.options(**options).remote(request)] = running
                return
            worker = self._worker(slots)
            work = {RolloutRequest: worker.roll_out, GradeRequest: worker.grade}
            method = work.get(type(request), worker.do_image_work)
            task = method.options(**_STREAMING).remote(request)
        except (WorkerLost, ray.exceptions.RayError) as error:
            self._refused.append(_lost(running, error))
        else:
            self._tasks[task] = replace(running, node=slots.name, worker=worker)

    def _place(self, request: RolloutRequest | GradeRequest | ImageRequest, node: str) -> NodeSlots:
        """The node of this name; for an empty one, of those that offer such slots the one where the
        fewest are taken. Raises WorkerLost."""
        nodes = [slots for slots in self.nodes() if node in ("", slots.name)]
        if not node:
            nodes = [slots for slots in nodes if _offered(request, slots)]
        if not nodes:
            raise WorkerLost(f"{node or 'every node'} is in the cluster no more")
        alike = [r for r in self._tasks.values() if type(r.request) is type(request)]
        under_way = Counter(running.node for running in alike)
        return min(
            nodes, key=lambda slots: under_way[slots.name] / max(1, _offered(request, slots))
        )

    def _worker(self, slots: NodeSlots) -> Any:
        """The node's. On a cluster it takes from what the node offers as many slots for rollouts as
        the session has, and all of those for grades."""
        if slots.name not in self._workers:
            taken = {}
            if self._connection.local is None:
                rollouts = min(slots.rollouts, self._slots.rollouts)
                taken = {ROLLOUT_SLOT: rollouts, GRADE_SLOT: slots.grades}
            worker = self._worker_class.options(
                num_cpus=0,
                resources=taken,
                max_concurrency=slots.rollouts + slots.grades + IMAGE_THREADS,
                **_on(slots.name),
            ).remote()
            self._workers[slots.name] = worker
            self._awaited[slots.name] = worker.is_up.remote(), time.monotonic() + ANSWER_S
        return self._workers[slots.name]

    def poll(self, timeout_s: float) -> list[Event]:
        """See `Executor`. Raises PrerequisiteError where the local Ray has ended, or no worker
        starts."""
        self._connection.require_alive()
        self._require_workers()
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

    def _require_workers(self) -> None:
        """Raises PrerequisiteError where none is up and none starts: everything would wait for it
        for ever. One that was killed is no reason: another starts; nor is a node of several, whose
        slots another run may hold."""
        for node, (answer, until) in list(self._awaited.items()):
            if ray.wait([answer], timeout=0)[0]:
                del self._awaited[node]
                try:
                    ray.get(answer)
                except ray.exceptions.RayError as error:
                    self._workers.pop(node, None)
                    self._failed_starts += 1
                    if not self._up and self._failed_starts >= FAILED_STARTS:
                        raise self._no_worker(node, last_line(error)) from error
                else:
                    self._up.add(node)
                    self._failed_starts = 0
            elif not self._up and time.monotonic() > until:
                raise self._no_worker(node, f"nothing after {ANSWER_S:.0f} s")

    def _no_worker(self, node: str, why: str) -> PrerequisiteError:
        if not node:
            cure = f"See the newest files in {self.session_dir}/logs."
            return PrerequisiteError(f"no worker of Ray starts ({why}).", cure)
        return PrerequisiteError(
            f"no worker of Ray starts on {node} ({why}).",
            "Does another run hold its slots? `ray status` says so there. What is recorded stands: "
            "`resume` goes on.",
        )

    def stop_now(self) -> None:
        for run_id in self._run_ids:
            internal_kv._internal_kv_put(_stop_key(run_id), b"1")

    def close(self) -> None:
        if self._connection.local is None:  # a local Ray, which may have ended, forgets all
            with contextlib.suppress(Exception):
                for run_id in self._run_ids:
                    internal_kv._internal_kv_del(_stop_key(run_id))
        self._tasks.clear()
        self._workers.clear()
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
            if isinstance(error, _WORKER_ENDED):
                self._forget_worker(running)
            yield _lost(running, error)
            return
        if not isinstance(value, Progress | PullProgress):
            del self._tasks[task]
        yield value

    def _forget_worker(self, running: _Running) -> None:
        """The next request there starts another; which may have been done already."""
        if running.worker is not None and self._workers.get(running.node) is running.worker:
            del self._workers[running.node]
            self._up.discard(running.node)
            ray.kill(running.worker)  # it may live, where it alone is not reached


def _offered(request: RolloutRequest | GradeRequest | ImageRequest, slots: NodeSlots) -> int:
    """A node's slots for such a request."""
    return slots.grades if isinstance(request, GradeRequest) else slots.rollouts


def _on(node: str) -> dict[str, Any]:
    """Ray's options for a node of a cluster; none for a local Ray. Raises WorkerLost."""
    if not node:
        return {}
    node_id = node_id_of(node)
    if node_id is None:
        raise WorkerLost(f"{node} is in the cluster no more")
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False)}


class _NodeWorker:
    """All that runs on a node, each in a thread; grades in processes that it has forked."""

    def __init__(self) -> None:
        sit_out()
        self._graders = Graders()

    def is_up(self) -> bool:
        return True

    def roll_out(self, request: RolloutRequest) -> Iterator[Progress | ImageGone | RolloutResult]:
        for event in roll_out(request, _stop_flag(request.assignment.key.run_id)):
            if isinstance(event, Progress) and event.phase == "agent":
                self._graders.begin()  # before its patch is there, and after its sandbox
            yield event

    def grade(self, request: GradeRequest) -> Iterator[ImageGone | GradeResult]:
        yield self._graders.grade(request)

    def do_image_work(self, request: ImageRequest) -> Iterator[ImageEvent]:
        yield from do_image_work(request)


def _roll_out(request: RolloutRequest) -> Iterator[Progress | ImageGone | RolloutResult]:
    """A rollout alone in its process."""
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
    """A task whose process died is a lost worker, as is one that its node has not the code for; one
    that raised otherwise, though it never should, is our bug."""
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
        kind = WorkerLost if running.worker is None else SharedWorkerLost
        problem = kind(summary_of(error))
    if isinstance(request, GradeRequest):
        return grade_result(request, running.started_at, files, {}, problem)
    record = RolloutRecord(
        request.key,
        failure=problem.failure,
        started_at=running.started_at,
        ended_at=time.time(),
    )
    return RolloutResult(record, files=files)
