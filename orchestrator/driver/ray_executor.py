"""The executor on Ray: one task a rollout, one a grade. The only module that imports ray.

Nodes offer `rollout_slot` and `grade_slot` as custom resources. A rollout is a streaming task, so
that its progress arrives while it runs; its last value is its result.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator import __version__
from orchestrator.backends import GradeRequest
from orchestrator.backends.grading import grade_result
from orchestrator.driver.executor import Event
from orchestrator.errors import (
    InfraError,
    InternalError,
    PrerequisiteError,
    WorkerLost,
    one_line,
)
from orchestrator.types import GradeResult, RolloutRecord, RolloutResult
from orchestrator.worker.failures import TRACEBACK, summary_of
from orchestrator.worker.grade import grade
from orchestrator.worker.images import evict
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    Progress,
    PullBegins,
    RolloutRequest,
)
from orchestrator.worker.rollout import roll_out

# Ray reads these when it is imported: no reports to its makers, no advice meant for GPU users
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
# glibc would give every thread of every worker an arena of its own, and keep what each once held
os.environ.setdefault("MALLOC_ARENA_MAX", "2")

import ray
import ray.exceptions
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ROLLOUT_SLOT = "rollout_slot"
GRADE_SLOT = "grade_slot"
OBJECT_STORE_BYTES = 100 * 2**20
_STREAMING: dict[str, Any] = {
    "num_returns": "streaming",
    "_generator_backpressure_num_objects": 1,
}
"""A worker goes on when the driver has taken what it said last: that it will pull an image, say."""
_GRADE_WORKERS = {"env_vars": {"SWE_ORCHESTRATOR_WORKER": "grade"}}
STOP_POLL_S = 1.0
NODE_TIMEOUT_S = 60.0
"""A worker of a node starts, and imports our code."""


@dataclass(frozen=True)
class _Running:
    """A task under way: what it was asked, and since when."""

    request: RolloutRequest | GradeRequest | EvictionRequest
    started_at: float


class RayExecutor:
    """Local by default; `address` joins a cluster whose nodes offer our resources."""

    def __init__(
        self, rollout_slots: int, grade_slots: int, address: str | None, run_id: str
    ) -> None:
        """Raises PrerequisiteError where Ray can't start, or the cluster lacks our resources."""
        self._run_id = run_id
        self._tasks: dict[Any, _Running] = {}
        self._refused: list[Event] = []
        """What `poll` says next without any task."""
        settings: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address is None:
            settings |= {
                "include_dashboard": False,
                # Ray starts, and keeps, about as many workers as it has CPUs: one a rollout slot;
                # grades have workers of their own
                "num_cpus": rollout_slots,
                "object_store_memory": OBJECT_STORE_BYTES,
                "resources": {ROLLOUT_SLOT: rollout_slots, GRADE_SLOT: grade_slots},
            }
        try:
            # the driver's own address space in Ray is quiet; what Ray prints is for its users
            with _terminal_kept_from_children():
                ray.init(address or "local", **settings)
        except (ConnectionError, RuntimeError, OSError, ValueError) as error:
            raise PrerequisiteError(
                f"Ray can't start ({one_line(error)}).", _cure_of(error, address)
            ) from error
        if address is not None:
            _require_resources(address)
            _require_same_code(address)
        self._rollout = ray.remote(_rollout_task).options(
            num_cpus=0, resources={ROLLOUT_SLOT: 1}, max_retries=0, **_STREAMING
        )
        # workers of their own: the harness takes 100 MB that a rollout's worker need not carry
        self._grade = ray.remote(grade).options(
            num_cpus=0,
            resources={GRADE_SLOT: 1},
            max_retries=0,
            runtime_env=_GRADE_WORKERS,
            **_STREAMING,
        )

    @property
    def session_dir(self) -> str:
        """Ray's folder on this host; it stands in the command lines of all its processes."""
        sockets = [node["RayletSocketName"] for node in ray.nodes() if node["Alive"]]
        return str(sockets[0]).partition("/sockets/")[0] if sockets else ""

    def submit_rollout(self, request: RolloutRequest) -> None:
        self._tasks[self._rollout.remote(request)] = _Running(request, time.time())

    def submit_grade(self, request: GradeRequest) -> None:
        self._tasks[self._grade.remote(request)] = _Running(request, time.time())

    def submit_eviction(self, request: EvictionRequest) -> None:
        node_id = _node_id(request.image.node)
        if node_id is None:
            self._refused.append(Eviction(request.image, gone=False))
            return
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task = ray.remote(evict).options(
            num_cpus=0, max_retries=0, runtime_env=_GRADE_WORKERS, scheduling_strategy=there
        )
        self._tasks[task.remote(request)] = _Running(request, time.time())

    def poll(self, timeout_s: float) -> list[Event]:
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
        internal_kv._internal_kv_put(_stop_key(self._run_id), b"1")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            internal_kv._internal_kv_del(_stop_key(self._run_id))
        self._tasks.clear()
        ray.shutdown()

    def _take(self, task: Any) -> Iterator[Event]:
        """One value of a task that has one; a task that died becomes a failure."""
        running = self._tasks[task]
        try:
            ref = task if isinstance(running.request, EvictionRequest) else next(task)
            value = ray.get(ref)
        except StopIteration:
            del self._tasks[task]
            return
        except ray.exceptions.RayError as error:
            del self._tasks[task]
            yield _lost(running, error)
            return
        if not isinstance(value, Progress | PullBegins):
            del self._tasks[task]
        yield value


def _node_id(name: str) -> str | None:
    """Ray's id of a host by its name, of this one by an empty name; None where it is not there."""
    if not name:
        return str(ray.get_runtime_context().get_node_id())
    alive = (node for node in ray.nodes() if node["Alive"])
    return next((n["NodeID"] for n in alive if n["NodeManagerHostname"] == name), None)


def _rollout_task(request: RolloutRequest) -> Iterator[Progress | PullBegins | RolloutResult]:
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


@contextlib.contextmanager
def _terminal_kept_from_children() -> Iterator[None]:
    """Processes that are started within it do not end with the terminal: the driver does so by
    itself, once it has harvested what runs, and that needs its Ray. (Ray does so for Ctrl-C.)"""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cure_of(error: Exception, address: str | None) -> str:
    if address is None:
        return "Is there memory and room in /tmp?"
    if "version mismatch" in str(error).lower():
        return "Start all its nodes with this very Python and Ray, or this command with theirs."
    return "Check --ray-address."


def code_here() -> str:
    """What nodes must have in common with the driver, beside Python and Ray: Ray checks those."""
    return f"swe-orchestrator {__version__}"


def _require_same_code(address: str) -> None:
    """Raises PrerequisiteError where a node has not the code of ours, or another version of it."""
    wanted, problems = code_here(), []
    nodes = [node for node in ray.nodes() if node["Alive"] and _offers_slots(node)]
    found = {node["NodeManagerAddress"]: _ask(node["NodeID"]) for node in nodes}
    for name, answer in found.items():
        try:
            code = ray.get(answer, timeout=NODE_TIMEOUT_S)
        except ray.exceptions.RayError as error:
            code = _last_line(error)
        if code != wanted:
            problems.append(f"{name} ({code})")
    if problems:
        ray.shutdown()
        raise PrerequisiteError(
            f"of the Ray cluster at {address}, {len(problems)} of {len(found)} nodes can't run "
            f"{wanted}: {', '.join(problems[:3])}.",
            "Install this project there, at this version, for the Python that starts Ray.",
        )


def _offers_slots(node: dict[str, Any]) -> bool:
    return bool({ROLLOUT_SLOT, GRADE_SLOT} & set(node["Resources"]))


def _ask(node_id: str) -> Any:
    """Ask a node for its `code_here`."""
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    task = ray.remote(code_here).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
    return task.remote()


def _require_resources(address: str) -> None:
    offered = ray.cluster_resources()
    if not {ROLLOUT_SLOT, GRADE_SLOT} <= set(offered):
        ray.shutdown()
        raise PrerequisiteError(
            f"the Ray cluster at {address} offers no {ROLLOUT_SLOT} or no {GRADE_SLOT}.",
            "Start its nodes with `ray start … --resources "
            f'\'{{"{ROLLOUT_SLOT}": 4, "{GRADE_SLOT}": 1}}\'`.',
        )


def _last_line(error: ray.exceptions.RayError) -> str:
    """Of a task's error, with what it raised; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return one_line(lines[-1]) if lines else type(error).__name__


def _lost(
    running: _Running, error: ray.exceptions.RayError
) -> RolloutResult | GradeResult | Eviction:
    """A task that died is a lost worker, as is one that its node has not the code for; one that
    raised otherwise, though it never should, is our bug."""
    request, files = running.request, dict[str, bytes]()
    if isinstance(request, EvictionRequest):
        return Eviction(request.image, gone=False)
    problem: InfraError
    if isinstance(error, ray.exceptions.RayTaskError):
        # its cause is Ray's own error where the worker could not unpack the request
        last_line = _last_line(error)
        lacks_code = last_line.startswith(("ImportError", "ModuleNotFoundError"))
        problem = (WorkerLost if lacks_code else InternalError)(last_line)
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
