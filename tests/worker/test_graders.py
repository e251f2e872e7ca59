"""Grades in processes that a server forks: what they share, and what is left of those killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from support.commands import wait_until
from support.specs import make_assignment

from orchestrator.backends import GradeRequest
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.types import FailureKind, GradeResult, Instance
from orchestrator.worker import graders as graders_module
from orchestrator.worker.graders import Graders
from orchestrator.worker.messages import ImageGone

pytestmark = pytest.mark.slow  # a server imports the harness
MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def graders() -> Iterator[Graders]:
    opened = Graders()
    yield opened
    opened.close()


@pytest.fixture
def request_of(
    make_config: MakeConfig, instance: Instance, demo: Dataset, tmp_path: Path
) -> Callable[..., GradeRequest]:
    answer = demo.answers[instance.instance_id]

    def make() -> GradeRequest:
        assignment = make_assignment(
            make_config("nop"), instance, "process", tmp_path, sealed_answer=answer
        )
        return GradeRequest(assignment, "no patch")

    return make


def servers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [
        p
        for p in children
        if p.status() != psutil.STATUS_ZOMBIE and "orchestrator.worker.grade_server" in p.cmdline()
    ]


def is_graded(result: ImageGone | GradeResult) -> bool:
    return isinstance(result, GradeResult) and result.failure is None


def test_grades_at_once_have_one_server_which_imports_the_harness_once(
    graders: Graders, request_of: Callable[..., GradeRequest]
) -> None:
    graders.begin()
    (server,) = servers()
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(graders.grade, [request_of() for _ in range(3)]))

    assert all(map(is_graded, results))
    assert servers() == [server]
    wait_until(lambda: not server.children(), "the grades' processes end")


def test_a_server_that_was_killed_costs_no_grade_anything(
    graders: Graders, request_of: Callable[..., GradeRequest]
) -> None:
    assert is_graded(graders.grade(request_of()))
    (server,) = servers()
    os.kill(server.pid, signal.SIGKILL)
    assert is_graded(graders.grade(request_of()))
    assert server not in servers()


def test_a_grade_goes_on_where_its_server_is_killed_and_another_has_started(
    graders: Graders, request_of: Callable[..., GradeRequest]
) -> None:
    with graders._connect() as under_way:
        (server,) = servers()
        os.kill(server.pid, signal.SIGKILL)
        assert is_graded(graders.grade(request_of()))
        under_way.send(request_of())
        assert is_graded(under_way.recv())


def test_a_grade_whose_process_is_killed_is_lost_alone(
    graders: Graders, request_of: Callable[..., GradeRequest]
) -> None:
    assert is_graded(graders.grade(request_of()))
    (server,) = servers()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(graders.grade, request_of())
        wait_until(lambda: server.children(), "the grade's process")
        for child in server.children():
            child.kill()
        result = under_way.result()

    assert isinstance(result, GradeResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.WORKER_LOST
    assert result.failure.detail == "the process of the grade ended without a result"
    assert servers() == [server]
    assert is_graded(graders.grade(request_of()))


def test_a_server_that_does_not_start_is_one_line_with_its_last_words(
    graders: Graders, request_of: Callable[..., GradeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graders_module, "SERVER", ("-c", "import no_such_harness"))
    result = graders.grade(request_of())

    assert isinstance(result, GradeResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.WORKER_LOST
    assert result.failure.detail == (
        "no process for grades starts: ModuleNotFoundError: No module named 'no_such_harness'"
    )


def test_server_and_grades_end_with_their_worker() -> None:
    """A worker is killed in the middle of a grade, which waits for its request."""
    program = (
        "import os, time\n"
        "from orchestrator.worker.graders import Graders\n"
        "graders = Graders()\n"
        "line = graders._connect()\n"
        "print(graders._server._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        server = psutil.Process(int(worker.stdout.readline()))
        left = [server, *server.children()]
        assert len(left) == 2
        worker.kill()
    assert psutil.wait_procs(left, timeout=20)[1] == []
