"""The executor on a small Ray of its own: what streams, what dies, and what is missing."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster
from support.specs import make_assignment, rollout_request

from orchestrator import __version__
from orchestrator.backends import GradeRequest
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.driver import ray_connection, ray_executor
from orchestrator.driver.executor import Event, NodeSlots
from orchestrator.driver.local_ray import LocalRay
from orchestrator.driver.ray_connection import GRADE_SLOT, ROLLOUT_SLOT, join, start_local
from orchestrator.driver.ray_executor import RayExecutor
from orchestrator.errors import PrerequisiteError
from orchestrator.images.pulls import PullProblem, Quota
from orchestrator.types import (
    FailureKind,
    GradeResult,
    Instance,
    Outcome,
    PulledImage,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    ImageGone,
    ImagesSeen,
    LookRequest,
    Progress,
    PullEnded,
    PullProgress,
    PullRequest,
    QuotaFound,
    QuotaRequest,
    RolloutRequest,
    RoomFound,
    RoomRequest,
)

LIMIT_S = 120.0
MakeConfig = Callable[..., RunConfig]
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    """One for all, as a start takes seconds: a test leaves nothing under way. Its workers find what
    is in tests/support."""
    with pytest.MonkeyPatch.context() as patched:
        tests = str(Path(__file__).parents[1])
        patched.setenv("PYTHONPATH", f"{tests}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        executor = make_executor(2, 2)
    yield executor
    executor.close()


def make_executor(rollouts: int, grades: int, address: str | None = None) -> RayExecutor:
    connection = start_local(LocalRay()) if address is None else join(address)
    return RayExecutor(connection, rollouts, grades, ["a-run"])


class SilentGateway(BaseHTTPRequestHandler):
    """Says of a rollout that nothing is held, and never answers what its agent asks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"seconds": 0, "quiet_s": 0}')

    do_DELETE = do_GET

    def do_POST(self) -> None:
        self.rfile.read()  # to the end of the connection

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent_gateway() -> Iterator[str]:
    """The base URL of a model that takes requests and never answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SilentGateway) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def rollout(config: RunConfig, instance: Instance, folder: Path, **more: Any) -> RolloutRequest:
    return rollout_request(config, instance, "process", folder, **more)


class BreaksOnArrival:
    """Put into a request, it raises where a worker unpacks it, before any code of ours."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return eval, ("1 / 0",)


class IsUnknownThere:
    """As a stranger's class that a node has not installed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import no_such_module_here",)


def events_until(executor: RayExecutor, is_last: Callable[[Event], bool]) -> list[Event]:
    """What the executor says, up to an event that is waited for."""
    events: list[Event] = []
    deadline = time.monotonic() + LIMIT_S
    while not any(map(is_last, events)):
        assert time.monotonic() < deadline, f"{len(events)} events in {LIMIT_S} s, none of them it"
        events += executor.poll(0.25)
    return events


def is_result(event: Event) -> bool:
    return isinstance(event, RolloutResult | GradeResult)


def agent_works(event: Event) -> bool:
    return isinstance(event, Progress) and event.phase == "agent"


def below(process: psutil.Process) -> list[psutil.Process]:
    """Its descendants that are alive."""
    children = process.children(recursive=True)
    return [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def node_workers() -> list[psutil.Process]:
    """Processes of ours in which rollouts run, or wait for the next."""
    return [p for p in below(psutil.Process()) if "ray::_NodeWorker" in " ".join(p.cmdline())]


# What has a Ray of its own comes first: a process is connected to one at a time.


def test_work_goes_to_the_node_that_it_is_placed_on(
    make_config: MakeConfig, instance: Instance, demo: Dataset, tmp_path: Path
) -> None:
    """Two nodes of a cluster on one host are one host, of which one counts."""
    slots = {"num_cpus": 1, "resources": {ROLLOUT_SLOT: 1, GRADE_SLOT: 1}}
    cluster = Cluster(initialize_head=True, head_node_args=slots)
    try:
        executor = make_executor(1, 1, cluster.address)
        (node,) = executor.nodes()
        request = rollout(make_config("nop"), instance, tmp_path)
        there = replace(
            request.assignment, node=node.name, sealed_answer=demo.answers[instance.instance_id]
        )
        executor.submit_rollout(replace(request, assignment=there))
        *_, rolled = events_until(executor, is_result)
        executor.submit_grade(GradeRequest(there, "no patch"))
        *_, graded = events_until(executor, is_result)
        executor.submit_image_work(QuotaRequest(node.name, "hub", "process"))
        answers = events_of_images(executor, 1)
        executor.close()
    finally:
        cluster.shutdown()

    assert node == NodeSlots(socket.gethostname(), 1, 1)
    assert isinstance(rolled, RolloutResult)
    assert isinstance(graded, GradeResult)
    assert (rolled.failure, graded.failure) == (None, None)
    assert answers == [QuotaFound(node.name, "hub", None)]


def test_a_node_whose_slots_another_run_holds_is_one_line_and_not_waited_for_for_ever(
    make_config: MakeConfig, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfAnotherRun:
        def is_up(self) -> bool:
            return True

    monkeypatch.setattr(ray_executor, "ANSWER_S", 2.0)
    slots = {"num_cpus": 1, "resources": {ROLLOUT_SLOT: 1, GRADE_SLOT: 1}}
    cluster = Cluster(initialize_head=True, head_node_args=slots)
    try:
        executor = make_executor(1, 1, cluster.address)
        (node,) = executor.nodes()
        holder = ray.remote(OfAnotherRun).options(num_cpus=0, resources={ROLLOUT_SLOT: 1}).remote()
        ray.get(holder.is_up.remote())
        executor.submit_image_work(QuotaRequest(node.name, "hub", "process"))
        with pytest.raises(PrerequisiteError, match="Does another run hold its slots") as caught:
            events_until(executor, lambda event: False)
        executor.close()
    finally:
        cluster.shutdown()

    assert f"no worker of Ray starts on {node.name} (nothing after 2 s)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_runs_sees_that_it_is_to_stop_and_still_sends_its_result(
    make_config: MakeConfig, instance: Instance, silent_gateway: str, tmp_path: Path
) -> None:
    executor = make_executor(1, 1)
    executor.submit_rollout(
        rollout(make_config("mini"), instance, tmp_path, base_url=silent_gateway)
    )
    events_until(executor, agent_works)
    executor.stop_now()
    *_, result = events_until(executor, is_result)
    executor.close()

    assert isinstance(result, RolloutResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INTERRUPTED


def test_a_cluster_without_our_resources_is_one_line_that_says_how_to_start_it() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        with pytest.raises(PrerequisiteError, match=ROLLOUT_SLOT) as caught:
            make_executor(1, 1, cluster.address)
    finally:
        cluster.shutdown()

    assert "ray start" in str(caught.value)
    assert "\n" not in str(caught.value)


def code_of_the_driver_alone() -> str:
    """Ray's workers can't import this module, as those of a node without our package can't ours."""
    return "swe-orchestrator 1"


def refused(address: str) -> str:
    with pytest.raises(PrerequisiteError) as caught:
        make_executor(1, 1, address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_cluster_whose_nodes_have_other_code_is_one_line_before_the_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slots = {"num_cpus": 1, "resources": {ROLLOUT_SLOT: 1, GRADE_SLOT: 1}}
    cluster = Cluster(initialize_head=True, head_node_args=slots)
    try:
        make_executor(1, 1, cluster.address).close()
        with monkeypatch.context() as patched:
            patched.setattr(ray_connection, "__version__", "99.0")
            assert f"(swe-orchestrator {__version__}). Install" in refused(cluster.address)
        monkeypatch.setattr(ray_connection, "code_here", code_of_the_driver_alone)
        said = refused(cluster.address)
    finally:
        cluster.shutdown()

    assert "1 of 1 nodes can't run swe-orchestrator 1" in said
    assert "(ModuleNotFoundError: No module named" in said


def test_a_cluster_of_another_python_is_told_in_one_line_with_its_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The words are those of Ray."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
            "This process on node 10.0.0.1:6379 was started with:\n    Ray: 2.60.0\n"
            "    Python: 3.11.7\n"
        )

    monkeypatch.setattr(ray_connection.ray, "init", refuse)

    said = refused("10.0.0.1:6379")

    assert "Python: 3.12.1 This process" in said
    assert said.endswith("with this very Python and Ray, or this command with theirs.")


def test_a_rollout_streams_its_progress_and_then_its_result(
    executor: RayExecutor, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    request = rollout(make_config("nop"), instance, tmp_path)
    executor.submit_rollout(request)
    *progress, result = events_until(executor, is_result)

    assert all(isinstance(event, Progress) and event.key == request.key for event in progress)
    assert isinstance(result, RolloutResult)
    assert (result.key, result.outcome) == (request.key, Outcome.GAVE_UP)
    assert executor.poll(0.0) == []


def rays_processes() -> list[psutil.Process]:
    """Of the local Ray: what starts and ends it, and all below that."""
    children = psutil.Process().children()
    head = next(p for p in children if "orchestrator.driver.ray_watch" in p.cmdline())
    return [head, *head.children(recursive=True)]


def test_a_local_ray_keeps_to_the_loopback_address(executor: RayExecutor) -> None:
    """Nobody else reaches it then, and it goes on when the host takes another address."""
    listening = [
        ip_address(connection.laddr.ip)
        for process in [psutil.Process(), *rays_processes()]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert len(listening) > 3
    assert all((getattr(ip, "ipv4_mapped", None) or ip).is_loopback for ip in listening)


def grade_servers() -> list[psutil.Process]:
    """What forks a process for each grade."""
    workers = node_workers()
    children = [child for worker in workers for child in below(worker)]
    servers = [p for p in children if "orchestrator.worker.grade_server" in p.cmdline()]
    return [server for server in servers if server.parent() in workers]


def a_grade(
    executor: RayExecutor, config: RunConfig, instance: Instance, demo: Dataset, folder: Path
) -> GradeResult:
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(config, instance, "process", folder, sealed_answer=answer)
    executor.submit_grade(GradeRequest(assignment, "no patch"))
    *_, result = events_until(executor, lambda event: isinstance(event, GradeResult))
    assert isinstance(result, GradeResult)
    return result


def test_grades_go_on_beside_rollouts_and_in_another_process_when_theirs_is_killed(
    executor: RayExecutor,
    make_config: MakeConfig,
    instance: Instance,
    demo: Dataset,
    silent_gateway: str,
    tmp_path: Path,
) -> None:
    request = rollout(make_config("mini"), instance, tmp_path, base_url=silent_gateway)
    executor.submit_rollout(request)
    events_until(executor, agent_works)
    (worker,) = node_workers()
    config = make_config("nop")
    assert a_grade(executor, config, instance, demo, tmp_path).resolved is False
    (server,) = grade_servers()
    server.kill()
    assert a_grade(executor, config, instance, demo, tmp_path).resolved is False
    assert server not in grade_servers()
    assert node_workers() == [worker]
    worker.kill()
    (lost,) = events_until(executor, is_result)
    assert lost.key == request.key


PULLING = "support.strangers_backend:PullingBackend"


def pull_request(config: RunConfig, instance: Instance, node: str = "") -> PullRequest:
    return PullRequest(PulledImage(instance.image, node), instance, PULLING, config.cluster)


def events_of_images(executor: RayExecutor, count: int) -> list[Event]:
    """Up to so many ends of what was asked for."""
    events: list[Event] = []
    while sum(not isinstance(event, PullProgress) for event in events) < count:
        events += events_until(executor, lambda event: True)
    return events


def test_a_node_pulls_evicts_and_asks_at_once_in_its_one_process(
    executor: RayExecutor,
    make_config: MakeConfig,
    instance: Instance,
    tmp_path: Path,
) -> None:
    config = make_config("nop", {"cluster.description": str(tmp_path)})
    image = PulledImage(instance.image)
    executor.submit_image_work(pull_request(config, instance))
    executor.submit_image_work(RoomRequest("", PULLING, config.cluster))
    executor.submit_image_work(QuotaRequest("", "hub", PULLING))
    executor.submit_image_work(LookRequest("", PULLING, "linux/amd64", (instance,)))
    executor.submit_image_work(EvictionRequest(PulledImage("another"), PULLING))
    events = events_of_images(executor, 5)

    assert isinstance(events[-1], PullEnded), "it takes seconds, and holds up nothing"
    assert events[-1] == PullEnded(image, expanded=280, digest="sha256:d")
    progress = [event for event in events if isinstance(event, PullProgress)]
    assert 1 <= len(progress) <= 3, "once a second, however often the backend says so"
    assert set(events) > {
        RoomFound("", 42.0),
        QuotaFound("", "hub", Quota(100, 7, 21600.0)),
        ImagesSeen("", frozenset({instance.image})),
        Eviction(PulledImage("another"), gone=False),
    }
    assert len(node_workers()) == 1


def test_a_worker_that_is_killed_ends_its_pulls_and_the_next_request_has_another(
    executor: RayExecutor,
    make_config: MakeConfig,
    instance: Instance,
    tmp_path: Path,
) -> None:
    config = make_config("nop", {"cluster.description": str(tmp_path)})
    executor.submit_image_work(pull_request(config, instance))
    events_until(executor, lambda event: isinstance(event, PullProgress))
    (worker,) = node_workers()
    worker.kill()
    *_, lost = events_of_images(executor, 1)

    assert isinstance(lost, PullEnded)
    assert lost.failure is not None
    assert lost.failure.problem is PullProblem.ENGINE
    assert "\n" not in lost.failure.detail
    executor.submit_image_work(RoomRequest("", PULLING, config.cluster))
    assert events_of_images(executor, 1) == [RoomFound("", 42.0)]
    assert executor.poll(0.0) == []


def test_what_is_asked_of_a_host_that_is_in_no_cluster_comes_to_nothing(
    executor: RayExecutor, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    away, config = PulledImage("an/image", "no-such-node"), make_config("nop")
    executor.submit_image_work(EvictionRequest(away, "process"))
    request = rollout(config, instance, tmp_path)
    there = replace(request.assignment, node="no-such-node")
    executor.submit_rollout(replace(request, assignment=there))
    events = [*executor.poll(0.0), *executor.poll(0.0)]

    assert events[0] == Eviction(away, gone=False)
    (result,) = [event for event in events if isinstance(event, RolloutResult)]
    assert result.failure is not None
    assert result.failure.kind is FailureKind.WORKER_LOST


def test_a_rollout_and_a_grade_that_find_their_image_gone_say_so(
    executor: RayExecutor,
    make_config: MakeConfig,
    instance: Instance,
    demo: Dataset,
    tmp_path: Path,
) -> None:
    config = make_config("nop", {"cluster.description": str(tmp_path)})
    request = rollout_request(config, instance, PULLING, tmp_path)
    gone = replace(
        request.assignment,
        image_is_here=True,
        sealed_answer=demo.answers[instance.instance_id],
    )
    for submit in (
        lambda: executor.submit_rollout(replace(request, assignment=gone)),
        lambda: executor.submit_grade(GradeRequest(gone, "a patch")),
    ):
        submit()
        *_, last = events_until(executor, lambda event: isinstance(event, ImageGone))
        assert last == ImageGone(request.key)
    assert executor.poll(0.0) == []


def test_all_that_ran_in_a_killed_worker_is_lost_once_and_what_comes_next_has_another(
    executor: RayExecutor,
    make_config: MakeConfig,
    instance: Instance,
    silent_gateway: str,
    tmp_path: Path,
) -> None:
    config = make_config("mini")
    requests = [
        rollout(config, instance, tmp_path, base_url=silent_gateway, attempt=attempt)
        for attempt in (1, 2)
    ]
    for request in requests:
        executor.submit_rollout(request)
        events_until(executor, agent_works)
    (worker,) = node_workers()
    os.kill(worker.pid, signal.SIGKILL)
    lost: list[Event] = []
    while len(lost) < 2:
        lost += filter(is_result, events_until(executor, is_result))

    assert {event.key for event in lost} == {request.key for request in requests}
    for result in lost:
        assert isinstance(result, RolloutResult)
        assert result.failure is not None
        assert result.failure.kind is FailureKind.SHARED_WORKER_LOST
        assert "\n" not in result.failure.detail
        assert 0 < result.record.started_at <= result.record.ended_at
    executor.submit_rollout(rollout(make_config("nop"), instance, tmp_path))
    (after,) = filter(is_result, events_until(executor, is_result))
    assert isinstance(after, RolloutResult)
    assert after.failure is None
    assert node_workers() != [worker]
    assert executor.poll(0.0) == []


def test_a_rollout_that_runs_alone_is_lost_alone(
    executor: RayExecutor,
    make_config: MakeConfig,
    instance: Instance,
    silent_gateway: str,
    tmp_path: Path,
) -> None:
    request = rollout(make_config("mini"), instance, tmp_path, base_url=silent_gateway)
    executor.submit_rollout(replace(request, alone=True))
    events_until(executor, agent_works)
    workers = below(psutil.Process())
    (its_own,) = [p for p in workers if "ray::_roll_out" in " ".join(p.cmdline())]
    its_own.kill()
    *_, result = events_until(executor, is_result)

    assert isinstance(result, RolloutResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.WORKER_LOST


def test_a_task_that_raises_is_a_bug_of_ours_with_its_traceback(
    executor: RayExecutor, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    breaks: Any = BreaksOnArrival()
    request = rollout(make_config("nop"), instance, tmp_path)
    assignment = replace(request.assignment, run_dir=breaks)
    executor.submit_rollout(replace(request, assignment=assignment))
    (rolled,) = events_until(executor, is_result)
    executor.submit_grade(GradeRequest(assignment, "a patch"))
    (graded,) = events_until(executor, is_result)

    assert isinstance(rolled, RolloutResult)
    assert isinstance(graded, GradeResult)
    assert graded.record.patch_sha256 == patch_sha256("a patch")
    for result in (rolled, graded):
        assert result.key == request.key
        assert result.failure is not None
        assert result.failure.kind is FailureKind.INTERNAL_ERROR
        assert "ZeroDivisionError" in result.failure.detail
        assert b"Traceback" in result.files["traceback.txt"]
        assert 0 < result.record.started_at <= result.record.ended_at


def test_a_node_that_lacks_the_code_for_a_task_is_a_lost_worker(
    executor: RayExecutor, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    unknown: Any = IsUnknownThere()
    request = rollout(make_config("nop"), instance, tmp_path)
    executor.submit_rollout(
        replace(request, assignment=replace(request.assignment, run_dir=unknown))
    )
    (result,) = events_until(executor, is_result)

    assert isinstance(result, RolloutResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.WORKER_LOST
    assert "no_such_module_here" in result.failure.detail
