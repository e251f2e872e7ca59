"""The fork server and the worker's end of its children, with small programs as `runner.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from support.processes import fork_servers

from orchestrator.agents.sweagent import runner_process
from orchestrator.agents.sweagent.installation import Installation
from orchestrator.agents.sweagent.runner_process import Runner, give_back, take_runner, warm_up
from orchestrator.errors import AgentCrashed

Start = Callable[[str], Runner]
INSTALLATION = Installation("a-folder", source="", ref="", commit="", versions={}, platforms=())
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
def cache(tmp_path: Path, sockets: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with this Python in the place of SWE-agent's own."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path))
    python = INSTALLATION.paths.python
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return tmp_path


@pytest.fixture
def start(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Takes a runner that is this program."""
    taken: list[Runner] = []

    def begin(program: str) -> Runner:
        write_program(cache, monkeypatch, program)
        taken.append(take_runner(INSTALLATION))
        return taken[-1]

    yield begin
    for runner in taken:
        runner.kill()


def write_program(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    file = folder / "program.py"
    file.write_text(as_program(program), encoding="utf-8")
    monkeypatch.setattr(runner_process, "RUNNER", file)


def as_program(body: str) -> str:
    """As `runner.py` is: imports, and a `main`."""
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

    with pytest.raises(AgentCrashed, match=r"process ended\. RuntimeError: no größer model$"):
        runner.receive()


def test_a_process_that_was_killed_sends_nothing_more(start: Start) -> None:
    runner = start("time.sleep(300)")
    os.kill(runner.pid, signal.SIGKILL)

    with pytest.raises(AgentCrashed, match=r"^SWE-agent's process ended\.$"):
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

    with pytest.raises(AgentCrashed, match=r"process ended\.$"):
        runner.receive()


def test_without_its_python_sweagent_does_not_start(start: Start, cache: Path) -> None:
    INSTALLATION.paths.python.unlink()

    with pytest.raises(AgentCrashed, match="does not start"):
        start(ECHO)


def test_what_can_not_be_imported_is_reported(start: Start, cache: Path) -> None:
    (cache / "program.py").write_text("import no_such_package")

    with pytest.raises(AgentCrashed, match="does not start: ModuleNotFoundError"):
        Runner(INSTALLATION)


def test_all_are_forked_by_one_server_that_has_imported_what_they_need(
    cache: Path, monkeypatch: pytest.MonkeyPatch, sockets: str
) -> None:
    write_program(cache, monkeypatch, ECHO)

    with ThreadPoolExecutor(4) as pool:
        runners = list(pool.map(Runner, [INSTALLATION] * 4))

    (server,) = fork_servers(sockets)
    assert {runner.pid for runner in runners} == {child.pid for child in server.children()}
    for runner in runners:
        runner.kill()


def test_warming_up_does_not_wait_and_starts_one_server(
    cache: Path, monkeypatch: pytest.MonkeyPatch, start: Start, sockets: str
) -> None:
    write_program(cache, monkeypatch, ECHO)
    for _ in range(3):
        warm_up(INSTALLATION)

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
    start: Start, sockets: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    text = runner_process.FORKSERVER.read_text(encoding="utf-8")
    hurried = cache / "forkserver.py"
    hurried.write_text(text.replace("IDLE_S = 30.0", "IDLE_S = 0.5"), encoding="utf-8")
    monkeypatch.setattr(runner_process, "FORKSERVER", hurried)
    runner = start(ECHO)
    (server,) = fork_servers(sockets)
    time.sleep(1.5)
    assert server.is_running()

    runner.kill()

    wait_until_gone(server.pid)
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


def test_a_worker_that_ends_kills_the_runners_that_wait(cache: Path) -> None:
    said, _ = worker_with_runners(cache, "").communicate(timeout=60)

    pids = [int(pid) for pid in said.split()]
    assert len(pids) == 2
    wait_until_gone(*pids)


def test_the_runners_of_a_killed_worker_read_the_end_of_their_input(cache: Path) -> None:
    """None of them holds another's input open."""
    with worker_with_runners(cache, "time.sleep(300)") as worker:
        assert worker.stdout is not None
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)

        worker.kill()

        wait_until_gone(*pids)


def worker_with_runners(folder: Path, then: str) -> subprocess.Popen[bytes]:
    """A worker that starts two runners, says their ids, and then does something."""
    (folder / "echo.py").write_text(as_program(ECHO), encoding="utf-8")
    program = f"""
        import time, pathlib
        from orchestrator.agents.sweagent import runner_process
        from orchestrator.agents.sweagent.installation import Installation
        installation = Installation("a-folder", "", "", "", {{}}, ())
        runner_process.RUNNER = pathlib.Path({str(folder / "echo.py")!r})
        runners = [runner_process.take_runner(installation) for _ in range(2)]
        for runner in runners:
            runner_process.give_back(runner)
        print(*(runner.pid for runner in runners), flush=True)
        {then}
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)
