"""The gateway as a process of its own: started, killed, started again, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest
from support.local_gateway import model_at
from support.rows import asked, key_of

from orchestrator.config.cluster import GatewayAddress
from orchestrator.dataset import Dataset
from orchestrator.endpoint.client import ChatClient
from orchestrator.errors import PrerequisiteError
from orchestrator.gateway.launcher import GatewayProcess
from orchestrator.gateway.link import Link
from orchestrator.gateway.messages import (
    Message,
    Requested,
    begun_anew,
    from_line,
    parse_rollout_segment,
    rollout_segment,
    to_line,
)
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import RequestResult

pytestmark = pytest.mark.slow
Start = Callable[..., GatewayProcess]


@pytest.fixture
def start(demo: Dataset, tmp_path: Path) -> Iterator[Start]:
    """A gateway process before a scripted endpoint."""
    with ExitStack() as stack:

        def run(place: GatewayAddress = GatewayAddress()) -> GatewayProcess:
            endpoint = stack.enter_context(ScriptedEndpoint(demo.instances, demo.answers))
            log = tmp_path / "gateway.log"
            return stack.enter_context(GatewayProcess(model_at(endpoint.base_url), place, "", log))

        yield run


def ask(gateway: GatewayProcess) -> str:
    with ChatClient(gateway.base_url(key_of("a")), gateway.token) as client:
        return client.complete([{"role": "user", "content": "hello"}]).content


def wait_for(gateway: GatewayProcess, limit_s: float = 20) -> list[Message]:
    """What it says next."""
    deadline = time.monotonic() + limit_s
    while not (messages := gateway.poll()):
        assert time.monotonic() < deadline, "it says nothing"
        time.sleep(0.05)
    return messages


def test_requests_pass_and_are_requests(start: Start) -> None:
    gateway = start()

    assert "git status" in ask(gateway)
    while not (requests := [m for m in wait_for(gateway) if isinstance(m, Requested)]):
        pass
    assert requests[0].request.result is RequestResult.ANSWERED


def test_a_gateway_that_is_killed_is_started_again_where_it_was(start: Start) -> None:
    gateway = start()
    before, pid = gateway.root_url, gateway.pid
    ask(gateway)
    os.kill(pid, signal.SIGKILL)
    time.sleep(2.1)
    gateway.poll()

    assert "git status" in ask(gateway)
    assert gateway.root_url == before
    assert gateway.pid != pid


def test_a_gateway_that_hangs_is_started_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start()
    monkeypatch.setattr("orchestrator.gateway.launcher.SILENCE_S", 0.5)
    pid = gateway.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.6)
    gateway.poll()
    monkeypatch.undo()

    assert gateway.pid != pid
    assert not psutil.pid_exists(pid)
    assert "git status" in ask(gateway)


def test_time_without_a_gateway_is_held_and_a_new_one_goes_on_from_there(start: Start) -> None:
    gateway = start()
    with Link(gateway.base_url(key_of("a")), gateway.token) as link:
        assert link.held_s() == 0
        os.kill(gateway.pid, signal.SIGKILL)
        time.sleep(2.1)
        assert link.held_s() > 2
        gateway.poll()
        ask(gateway)
        assert link.held_s() > 2


def test_an_address_that_is_not_ours_is_a_prerequisite(start: Start) -> None:
    with pytest.raises(PrerequisiteError, match=r"cluster\.gateway\.host"):
        start(GatewayAddress(host="192.0.2.1"))


def test_an_ipv6_address_stands_in_brackets(tmp_path: Path) -> None:
    address = GatewayAddress(host="::1", port=8000)
    gateway = GatewayProcess(model_at("http://127.0.0.1:9/v1"), address, "", tmp_path / "log")

    assert gateway.base_url(key_of("a")).startswith("http://[::1]:8000/r/")


def test_a_gateway_ends_with_its_driver_however_that_ends(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from orchestrator.config.cluster import GatewayAddress
from orchestrator.gateway.launcher import GatewayProcess
from support.local_gateway import model_at
log = Path({str(tmp_path / "log")!r})
with GatewayProcess(model_at("http://127.0.0.1:9/v1"), GatewayAddress(), "", log) as gateway:
    print(gateway.pid, flush=True)
    time.sleep(60)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    with driver:
        assert driver.stdout is not None
        gateway = psutil.Process(int(driver.stdout.readline()))
        driver.kill()

    gateway.wait(10)
    assert not gateway.is_running()


def test_its_keys_do_not_stand_on_its_command_line(start: Start) -> None:
    gateway = start()

    assert gateway.token not in " ".join(psutil.Process(gateway.pid).cmdline())


def test_a_message_comes_out_as_it_went_in() -> None:
    request = asked("a__b-1", attempt=2)

    assert from_line(to_line(Requested(request=request))) == Requested(request=request)
    with pytest.raises(ValueError, match="no message"):
        from_line("Traceback (most recent call last):")


@pytest.mark.parametrize("instance_id", ["django__django-11099", "a.b__c.d-1", "ä/b:c d"])
def test_a_segment_names_run_instance_and_attempt(instance_id: str) -> None:
    segment = rollout_segment(key_of(instance_id, 3))

    assert "/" not in segment
    assert parse_rollout_segment(segment) == key_of(instance_id, 3)
    assert parse_rollout_segment(unquote(segment)) == key_of(instance_id, 3), "a server decodes it"


def test_an_agent_that_begins_anew_is_the_same_rollout_under_another_name() -> None:
    segment = rollout_segment(key_of("an-instance", 3))

    anew = begun_anew(f"http://127.0.0.1:9/r/{segment}/v1")

    assert anew.startswith(f"http://127.0.0.1:9/r/{segment}")
    assert anew.endswith("/v1")
    named = anew.split("/")[-2]
    assert named != segment
    assert parse_rollout_segment(named) == key_of("an-instance", 3)
    assert parse_rollout_segment(unquote(named)) == key_of("an-instance", 3)


@pytest.mark.parametrize(
    "segment", ["", "a", "a:b", ":1", "r:a:", "r:a:0", "r:a:-1", "r::1", ":a:1"]
)
def test_a_segment_that_names_no_rollout_is_refused(segment: str) -> None:
    with pytest.raises(ValueError):
        parse_rollout_segment(segment)
