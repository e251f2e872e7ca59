"""A Ray of a driver's own: what runs of it, and that nothing is left of one that nobody used."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray._private import parameter

from orchestrator.driver import ray_head
from orchestrator.driver.local_ray import OBJECT_STORE_BYTES, LocalRay
from orchestrator.driver.ray_head import FIRST_WORKERS, node_settings, without_agents

LIMIT_S = 60.0


class Captured(Exception):
    pass


def test_settings_are_those_of_ray_init_but_for_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a Ray that sets more, or otherwise, would be one that nobody has tried."""

    captured: list[parameter.RayParams] = []

    def capture(ray_params: parameter.RayParams, **_: Any) -> None:
        captured.append(ray_params)
        raise Captured

    monkeypatch.setattr(ray._private.node, "Node", capture)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    init = {"num_cpus": FIRST_WORKERS, "object_store_memory": OBJECT_STORE_BYTES}
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Captured):
        ray.init("local", include_dashboard=False, **init)
    signal.signal(signal.SIGTERM, before)
    theirs, ours = vars(captured[0]), vars(node_settings(OBJECT_STORE_BYTES))
    isolated = [each.pop("resource_isolation_config").is_enabled() for each in (theirs, ours)]

    assert isolated == [False, False]
    assert {key: ours[key] for key in theirs | ours if ours[key] != theirs[key]} == {
        "no_monitor": True,
        "include_log_monitor": False,
        "dashboard_port": ours["dashboard_port"],  # of a server that is not there
    }


@pytest.mark.parametrize(
    "folder", ["/tmp/ray/session_1", '/tmp/my "own"/ray/session_1', "/tmp/it's"]
)
def test_a_raylet_is_given_shells_in_the_place_of_its_agents(folder: str) -> None:
    options = ["--dashboard_agent_command=python a", "--runtime_env_agent_command=b"]

    first, *agents, last = without_agents(["raylet", *options, "--head"], folder)

    assert (first, last) == ("raylet", "--head")
    assert [agent.partition("=")[0] for agent in agents] == [
        "--dashboard_agent_command",
        "--runtime_env_agent_command",
    ]
    for agent in agents:
        words = shlex.split(agent.partition("=")[2])
        assert words == ["/bin/sh", "-c", "read -r _", folder]
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=LIMIT_S)
        assert ended.returncode == 1, "it ends with its input"


def session_of(process: int) -> list[int]:
    """Processes of a session that live."""
    found = []
    for other in psutil.process_iter():
        try:
            if os.getsid(other.pid) == process and other.status() != psutil.STATUS_ZOMBIE:
                found.append(other.pid)
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of Ray's own files; its name is short, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def is_up(begun: LocalRay) -> bool:
    return bool(select.select([begun._process.stdout], [], [], 0)[0])


MOMENTS: dict[str, Callable[[LocalRay, Path], bool]] = {
    "at once": lambda begun, folder: True,
    "with its first files": lambda begun, folder: any(folder.glob("ray/session_*/sockets")),
    "with its first process": lambda begun, folder: len(session_of(begun._process.pid)) > 1,
    "when it is up": lambda begun, folder: is_up(begun),
}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_of_a_ray_that_is_not_wanted_any_more_nothing_is_left(moment: str, folder: Path) -> None:
    begun = LocalRay()
    wait_until(lambda: MOMENTS[moment](begun, folder))

    began = time.monotonic()
    begun.close()

    assert time.monotonic() - began < 5, "nobody waits for a Ray that is not wanted"
    assert session_of(begun._process.pid) == []
    assert list(folder.glob("ray/*")) == []
    begun.close()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["with its first process", "when it is up"])
def test_of_a_ray_whose_driver_is_killed_nothing_is_left(moment: str, folder: Path) -> None:
    program = (
        "import sys, time; from orchestrator.driver.local_ray import LocalRay\n"
        "begun = LocalRay(); print(begun._process.pid, flush=True)\n"
        "begun._process.stdout.readline(); print('up', flush=True); time.sleep(1000)"
    )
    driver = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert driver.stdout is not None
    session = int(driver.stdout.readline())
    if moment == "when it is up":
        assert driver.stdout.readline() == b"up\n"
    else:
        wait_until(lambda: len(session_of(session)) > 1)
    driver.kill()
    driver.wait()
    driver.stdout.close()

    wait_until(lambda: session_of(session) == [])
    wait_until(lambda: list(folder.glob("ray/*")) == [])


@pytest.mark.ray
@pytest.mark.slow
def test_of_ray_runs_only_what_a_run_uses(folder: Path) -> None:
    begun = LocalRay()
    begun.wait()
    head, words = psutil.Process(begun._process.pid), [*ray_head.WATCH, begun.session_dir]
    try:
        wait_until(lambda: head.cmdline()[1:4] == words)
        programs = programs_of(session_of(head.pid))
    finally:
        begun.close()

    assert programs == {Path(sys.executable).name, "gcs_server", "raylet", "sh"}
    assert (Path(begun.session_dir) / "logs" / "raylet.out").exists(), "logs of a used one are kept"


def programs_of(processes: list[int]) -> set[str]:
    words = [psutil.Process(process).cmdline() for process in processes]
    return {Path(first).name for first, *_ in filter(None, words)}
