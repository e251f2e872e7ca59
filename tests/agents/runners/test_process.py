"""The fork server and the worker's end of its children, with small programs for agents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.processes import fork_servers

from orchestrator.agents.runners import process as runner_process
from orchestrator.agents.runners.process import (
    Runner,
    RunnerProgram,
    give_back,
    take_runner,
    warm_up,
)
from orchestrator.errors import AgentCrashed

pytestmark = pytest.mark.slow

Start = Callable[..., Runner]
Make = Callable[..., RunnerProgram]
ECHO = """
    for line in sys.stdin:
        print(line, end="", flush=True)
"""
BEARS_A_CHILD = """
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    print(json.dumps({"kind": "ready", "child": child.pid}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def make_program(tmp_path: Path, sockets: str) -> Make:
    """A runner that does this, in this Python: `make_program(ECHO, agent="Another")`."""

    def make(body: str = ECHO, **more: Any) -> RunnerProgram:
        file = tmp_path / "program.py"
        file.write_text(as_program(body), encoding="utf-8")
        made = RunnerProgram("An agent", "a-folder", Path(sys.executable), file, (), {})
        return replace(made, **more)

    return make


@pytest.fixture
def start(make_program: Make) -> Iterator[Start]:
    """Takes a runner that is this program."""
    taken: list[Runner] = []

    def begin(body: str, **more: Any) -> Runner:
        taken.append(take_runner(make_program(body, **more)))
        return taken[-1]

    yield begin
    for runner in taken:
        runner.kill()


def as_program(body: str) -> str:
    """As an agent's runner is: imports, and a `main`."""
    indented = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"import json, os, sys, time\ndef main():\n{indented}\n"


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_messages_arrive_in_both_directions(start: Start) -> None:
    runner = start(ECHO)

    runner.send("rollout", statement="größer\n\u2028 ist es", steps=[1, None])
    runner.send("answer")

    assert runner.receive() == {
        "kind": "rollout",
        "statement": "größer\n\u2028 ist es",
        "steps": [1, None],
    }
    assert runner.receive() == {"kind": "answer"}


def test_a_message_may_be_long(start: Start) -> None:
    text = "a long conversation " * 250_000
    runner = start("print(sys.stdin.readline(), end='', flush=True)")

    runner.send("answer", content=text)

    assert runner.receive()["content"] == text


def test_reading_waits_for_the_next_message(start: Start) -> None:
    runner = start("""
        time.sleep(0.3)
        print('{"kind": "rea', end="", flush=True)
        time.sleep(0.3)
        print('dy"}', flush=True)
    """)

    assert runner.receive() == {"kind": "ready"}


def test_a_crash_is_reported_with_the_last_line_of_its_traceback(start: Start) -> None:
    runner = start("""
        print('{"kind": "ready"}', flush=True)
        print("a warning", file=sys.stderr)
        raise RuntimeError("no größer model")
    """)
    assert runner.receive() == {"kind": "ready"}

    with pytest.raises(AgentCrashed, match=r"An agent ended\. RuntimeError: no größer model$"):
        runner.receive()


def test_a_process_that_was_killed_sends_nothing_more(start: Start) -> None:
    runner = start("time.sleep(300)")
    os.kill(runner.pid, signal.SIGKILL)

    with pytest.raises(AgentCrashed, match=r"^The process of An agent ended\.$"):
        runner.receive()


def test_no_message_can_be_sent_to_a_process_that_has_ended(start: Start) -> None:
    runner = start("sys.exit('no sweagent here')")
    wait_until_gone(runner.pid)

    with pytest.raises(AgentCrashed, match=r"ended\. no sweagent here$"):
        runner.receive()
    with pytest.raises(AgentCrashed):
        runner.send("rollout")


@pytest.mark.parametrize("said", ["a print that went astray", ""])
def test_a_process_that_writes_anything_but_messages_has_crashed_and_is_ended(
    start: Start, said: str
) -> None:
    runner = start(f"print({said!r}, flush=True); time.sleep(300)")

    with pytest.raises(AgentCrashed):
        runner.receive()

    assert not runner.is_waiting


def test_half_a_message_at_the_end_is_a_crash(start: Start) -> None:
    runner = start("print('{\"kind\": \"st', end='', flush=True)")

    with pytest.raises(AgentCrashed, match=r"An agent ended\.$"):
        runner.receive()


def test_without_its_python_an_agent_does_not_start(start: Start, tmp_path: Path) -> None:
    with pytest.raises(AgentCrashed, match=r"^An agent does not start: "):
        start(ECHO, python=tmp_path / "none")


def test_what_can_not_be_imported_is_reported(make_program: Make) -> None:
    program = make_program()
    program.program.write_text("import no_such_package")

    with pytest.raises(AgentCrashed, match=r"^An agent does not start: ModuleNotFoundError"):
        Runner(program)


def test_all_are_forked_by_one_server_that_has_imported_what_they_need(
    make_program: Make, sockets: str
) -> None:
    with ThreadPoolExecutor(4) as pool:
        runners = list(pool.map(Runner, [make_program()] * 4))

    (server,) = fork_servers(sockets)
    assert {runner.pid for runner in runners} == {child.pid for child in server.children()}
    for runner in runners:
        runner.kill()


def test_warming_up_does_not_wait_and_starts_one_server(
    make_program: Make, start: Start, sockets: str
) -> None:
    for _ in range(3):
        warm_up(make_program())

    start(ECHO)

    assert len(fork_servers(sockets)) == 1


def test_a_server_that_was_killed_is_followed_by_another(start: Start, sockets: str) -> None:
    first = start(ECHO)
    (server,) = fork_servers(sockets)
    server.kill()
    server.wait()

    second = start(ECHO)

    for runner in (first, second):
        runner.send("rollout")
        assert runner.receive() == {"kind": "rollout"}


@pytest.mark.slow
def test_a_server_without_children_ends(
    start: Start, sockets: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = runner_process.FORKSERVER.read_text(encoding="utf-8")
    hurried = tmp_path / "forkserver.py"
    hurried.write_text(text.replace("IDLE_S = 30.0", "IDLE_S = 0.5"), encoding="utf-8")
    monkeypatch.setattr(runner_process, "FORKSERVER", hurried)
    runner = start(ECHO)
    (server,) = fork_servers(sockets)
    time.sleep(1.5)
    assert server.is_running()

    os.kill(runner.pid, signal.SIGKILL)  # and its worker tidies nothing up

    wait_until_gone(server.pid)
    folder = Path(sockets, f"sweo-{os.getuid()}")
    assert {path.suffix for path in folder.iterdir()} == {".lock", ".log"}
    start(ECHO).send("rollout")


def test_killing_ends_the_process_and_its_children(start: Start) -> None:
    runner = start(BEARS_A_CHILD)
    child = runner.receive()["child"]

    runner.kill()

    assert not runner.is_waiting
    wait_until_gone(runner.pid, child)
    runner.kill()


def test_a_runner_that_was_killed_is_neither_written_to_nor_read_any_more(start: Start) -> None:
    runner = start(ECHO)
    runner.kill()

    with pytest.raises(AgentCrashed):
        runner.send("answer")
    with pytest.raises(AgentCrashed):
        runner.receive()


def test_killing_wakes_a_thread_that_waits_for_a_message(start: Start) -> None:
    runner = start("time.sleep(300)")
    threading.Timer(0.2, runner.kill).start()

    with pytest.raises(AgentCrashed):
        runner.receive()


def test_a_runner_has_nothing_of_our_python_or_ray_in_its_environment(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("RAY_ADDRESS", "nowhere:1")
    monkeypatch.setenv("SOMETHING_ELSE", "is kept")
    runner = start("print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()")

    environment = runner.receive()

    assert not [name for name in environment if name.startswith(("PYTHON", "RAY"))]
    assert environment["SOMETHING_ELSE"] == "is kept"


def test_a_forked_process_never_asks_the_system_for_proxies(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS a child that was forked without exec dies of it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")

    runner = start("""
        import urllib.request as r

        asked = bool(r.getproxies_environment()), bool(r.proxy_bypass_environment("server"))
        print(json.dumps({"kind": "ready", "asked": asked}), flush=True)
    """)

    assert runner.receive()["asked"] == [True, True], "the environment answers both"


def test_a_runner_that_was_given_back_is_taken_again(start: Start) -> None:
    first = start(ECHO)
    give_back(first)

    again, another = start(ECHO), start(ECHO)

    assert again is first
    assert another.pid != first.pid
    again.send("rollout")
    assert again.receive() == {"kind": "rollout"}


def test_a_runner_that_has_ended_is_not_taken_again(start: Start) -> None:
    living, dead = start(ECHO), start(ECHO)
    give_back(living)
    give_back(dead)
    os.kill(dead.pid, signal.SIGKILL)
    wait_until_gone(dead.pid)

    assert start(ECHO) is living
    assert start(ECHO) is not dead


def test_a_runner_of_a_replaced_installation_is_ended(start: Start) -> None:
    old = start(ECHO, folder="old")
    give_back(old)

    new = start(ECHO, folder="new")

    assert new.pid != old.pid
    wait_until_gone(old.pid)


def test_a_runner_of_another_agent_waits_for_its_next_rollout(start: Start) -> None:
    """A worker may serve rollouts of several agents by turns."""
    theirs, ours = start(ECHO, agent="Another", folder="another"), start(ECHO)
    give_back(theirs)
    give_back(ours)

    assert start(ECHO) is ours
    assert start(ECHO, agent="Another", folder="another") is theirs


@pytest.mark.parametrize("change", [{"environment": {"SAYS": "other"}}, {"folder": "other"}])
def test_what_differs_is_forked_by_a_server_of_its_own(
    start: Start, sockets: str, change: dict[str, Any]
) -> None:
    start(ECHO)
    start(ECHO, **change)

    assert len(fork_servers(sockets)) == 2


def test_a_change_of_what_lies_beside_a_program_is_seen(start: Start, tmp_path: Path) -> None:
    beside = tmp_path / "beside.py"
    body = "from .beside import said; print(json.dumps({'said': said}), flush=True)"
    beside.write_text("said = 'old'")
    assert start(body, beside=(beside,)).receive() == {"said": "old"}

    beside.write_text("said = 'another'")

    assert start(body, beside=(beside,)).receive() == {"said": "another"}


def test_an_agents_variables_are_set(start: Start) -> None:
    says = "print(json.dumps({'said': os.environ['SAYS']}), flush=True)"

    assert start(says, environment={"SAYS": "this"}).receive() == {"said": "this"}


def test_a_worker_that_ends_kills_the_runners_that_wait(make_program: Make) -> None:
    said, _ = worker_with_runners(make_program(), "").communicate(timeout=60)

    pids = [int(pid) for pid in said.split()]
    assert len(pids) == 2
    wait_until_gone(*pids)


def test_the_runners_of_a_killed_worker_read_the_end_of_their_input(make_program: Make) -> None:
    """None of them holds another's input open."""
    with worker_with_runners(make_program(), "time.sleep(300)") as worker:
        assert worker.stdout is not None
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)

        worker.kill()

        wait_until_gone(*pids)


def worker_with_runners(made: RunnerProgram, then: str) -> subprocess.Popen[bytes]:
    """A worker that starts two runners, says their ids, and then does something."""
    program = f"""
        import pathlib, time
        from orchestrator.agents.runners.process import RunnerProgram, give_back, take_runner
        python, file = map(pathlib.Path, {[str(made.python), str(made.program)]!r})
        made = RunnerProgram("An agent", "a-folder", python, file, (), {{}})
        runners = [take_runner(made) for _ in range(2)]
        for runner in runners:
            give_back(runner)
        print(*(runner.pid for runner in runners), flush=True)
        {then}
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.parametrize("name", ["x" * 100, "工作" * 20, "größe" * 10])
def test_a_socket_has_room_whatever_folder_is_for_temporary_files(
    name: str, make_program: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(folder="0f3acafacabc-494616")  # as installations are called
    monkeypatch.setattr(tempfile, "tempdir", f"/tmp/{name}")

    assert len(os.fsencode(runner_process._socket_path(program))) <= 103, "the limit of macOS"
