"""SWE-ReX's server in a sandbox, and how often another one is started."""

from __future__ import annotations

from typing import Any, cast

import pytest

from orchestrator.agents import sandbox_servers
from orchestrator.agents.sandbox_servers import MAX_TRIES
from orchestrator.agents.sweagent import server as module
from orchestrator.agents.sweagent.server import SandboxServer
from orchestrator.backends import ExecResult, Sandbox
from orchestrator.errors import SandboxBroken, SandboxUnavailable


class Box:
    """A sandbox in which servers start as often as it is told, and commands while it is there."""

    def __init__(self, starts: list[bool], is_there: bool = True) -> None:
        self.starts, self.is_there = starts, is_there

    def exec(self, command: str, timeout_s: float) -> ExecResult:
        if not self.is_there:
            raise SandboxUnavailable("gone")
        return ExecResult(b"/usr/bin/python3.11", 0)

    def resolve(self, path: str) -> str:
        return path

    def patience(self, seconds: float) -> float:
        return seconds


class Line:
    """In place of a tunnel."""

    port = 1

    def __init__(self, sandbox: Any, *_: object) -> None:
        if not sandbox.starts.pop(0):
            raise SandboxUnavailable("the server in the sandbox did not start: killed")

    def close(self) -> None:
        """It has no connection."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Tunnel", Line)
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
    with pytest.raises(SandboxUnavailable):
        server_in(Box([False]))
