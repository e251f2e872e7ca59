"""SWE-ReX's server in a sandbox, and how often another one is started."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import cast

import pytest

from orchestrator.agents import sandbox_servers
from orchestrator.agents.sandbox_servers import MAX_TRIES
from orchestrator.agents.sweagent import server as module
from orchestrator.agents.sweagent.server import NO_PYTHON, NO_RUNTIME, SandboxServer
from orchestrator.backends import ExecResult, Sandbox
from orchestrator.errors import ImageUnavailable, SandboxBroken, SandboxUnavailable


class Pipe:
    """What a program in the sandbox says, piece by piece; its end where there is no more."""

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)
        self.written = b""
        self.is_closed = False

    def read(self) -> bytes:
        return self.said.pop(0) if self.said and not self.is_closed else b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True


class Box:
    """A sandbox in which servers start as often as it is told, and commands while it is there."""

    def __init__(self, starts: list[bool], is_there: bool = True, patience: float = 1.0) -> None:
        self.starts, self.is_there, self.times = starts, is_there, patience
        self.waited: list[float] = []

    def exec(self, command: str, timeout_s: float) -> ExecResult:
        if not self.is_there:
            raise SandboxUnavailable("gone")
        return ExecResult(b"", 0)

    def attach(self, command: Sequence[str]) -> Pipe:
        self.least_s = command[-1]
        return Pipe(b"ready\n") if self.starts.pop(0) else Pipe(b"killed\n")

    def resolve(self, path: str) -> str:
        return path

    def patience(self, seconds: float) -> float:
        self.waited.append(seconds * self.times)
        return seconds * self.times


class Speaks(Box):
    """A sandbox whose server says this."""

    def __init__(self, *said: bytes, patience: float = 1.0) -> None:
        super().__init__([], patience=patience)
        self.pipe = Pipe(*said)

    def attach(self, command: Sequence[str]) -> Pipe:
        return self.pipe


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_servers.time, "sleep", lambda seconds: None)


def server_in(box: Box) -> SandboxServer:
    return SandboxServer(cast(Sandbox, box))


@pytest.mark.parametrize("killed", range(MAX_TRIES))
def test_another_server_is_started_however_often_it_is_killed_at_first(killed: int) -> None:
    box = Box([True, *[False] * killed, True])
    server_in(box).restart()

    assert box.starts == []


def test_where_commands_run_and_none_stays_up_the_sandbox_is_broken() -> None:
    server = server_in(Box([True, *[False] * MAX_TRIES]))

    with pytest.raises(SandboxBroken, match="killed"):
        server.restart()


def test_where_the_sandbox_is_gone_it_is_unavailable() -> None:
    box = Box([True, False, False])
    server, box.is_there = server_in(box), False

    with pytest.raises(SandboxUnavailable, match="gone"):
        server.restart()


def test_a_first_server_that_does_not_start_is_the_worlds_doing() -> None:
    server = server_in(Box([False]))

    with pytest.raises(SandboxUnavailable, match="did not start: killed"):
        server.ask("is_alive", {})


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (NO_RUNTIME, SandboxUnavailable, "does not see this host's cache folder"),
        (NO_PYTHON, ImageUnavailable, "has no Python 3.11"),
    ],
)
def test_what_a_server_does_not_start_for_is_told(
    said: bytes, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        server_in(Speaks(said + b"\n")).wait()


def test_an_answer_is_whole_however_it_comes() -> None:
    box = Speaks(b"rea", b'dy\n{"answer"', b': {"content": "gr', b'\xc3\xb6\xc3\x9fe"}}\n')

    assert server_in(box).ask("read_file", {"path": "a"}) == {"answer": {"content": "größe"}}
    program, asked = map(json.loads, box.pipe.written.splitlines())
    assert program == module.PROGRAM.read_text(encoding="utf-8")
    assert asked == {"verb": "read_file", "request": {"path": "a"}}


@pytest.mark.parametrize(
    "said", [[b"a remark\nready\n"], [b"one\ntwo\n", b"ready\n"], [b"one\ntw", b"o\nready\n"]]
)
def test_what_a_shell_remarks_before_the_server_answers_is_passed_over(said: list[bytes]) -> None:
    assert server_in(Speaks(*said, b'{"answer": {}}\n')).ask("is_alive", {}) == {"answer": {}}


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_last_line_of_a_server_that_does_not_start_is_told(end: bytes) -> None:
    said = b"Traceback (most recent call last):\n  File x\nImportError: no pexpect" + end

    with pytest.raises(SandboxUnavailable, match="ImportError: no pexpect"):
        server_in(Speaks(said)).wait()


def test_an_agent_that_removed_python_has_broken_its_sandbox() -> None:
    box = Speaks(b"ready\n")
    server = server_in(box)
    server.wait()
    box.pipe = Pipe(NO_PYTHON + b"\n")

    with pytest.raises(SandboxBroken, match="no Python runs in the sandbox any more"):
        server.restart()


def test_a_line_that_never_ends_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1000)
    box = Speaks(b"ready\n", *[b"x" * 600] * 5, b"\n")

    answer = server_in(box).ask("is_alive", {})

    assert "in one line" in answer["gone"]
    assert box.pipe.is_closed, "and what comes of it is no answer to anything"


@pytest.mark.parametrize(
    "said",
    [[], [b'{"answ'], [b"no JSON\n"], [b"[1]\n"], [b"{}\n"], [b"[" * 10**5 + b"\n"]],
)
def test_a_server_that_ends_or_answers_something_else_is_gone(said: list[bytes]) -> None:
    assert "gone" in server_in(Speaks(b"ready\n", *said)).ask("read_file", {"path": "a"})


def test_who_waits_for_an_answer_that_never_comes_waits_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(Pipe):
        closed = threading.Event()

        def read(self) -> bytes:
            if self.said:
                return self.said.pop(0)
            assert self.closed.wait(20), "nobody closed it"
            return b""

        def close(self) -> None:
            self.closed.set()

    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    box = Speaks()
    box.pipe = Silent(b"ready\n")

    assert "gone" in server_in(box).ask("read_file", {"path": "a"})


@pytest.mark.parametrize(("patience", "least_s"), [(1.0, "0.0"), (4.0, "4.0")])
def test_everything_has_longer_in_an_emulated_sandbox(patience: float, least_s: str) -> None:
    box = Box([True], patience=patience)
    server_in(box).ask("read_file", {"path": "a"})

    assert box.least_s == least_s
    assert {module.START_S * patience, module.ANSWER_S * patience} <= set(box.waited)
