"""The server of terminals in the sandbox, as its client sees it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.commands import wait_until

from orchestrator.agents.openhands.in_sandbox import terminals

pytestmark = pytest.mark.slow
Connect = Callable[..., socket.socket]
TOKEN = "a token"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    command = [sys.executable, "-I", str(terminals.__file__), str(port), digest]
    with subprocess.Popen(command) as server:

        def is_up() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(is_up, "the server of terminals")
        yield port
        server.kill()


@pytest.fixture
def connect(port: int, tmp_path: Path) -> Iterator[Connect]:
    opened = []

    def open_one(**changes: Any) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), 10)
        opened.append(connection)
        request = {"token": TOKEN, "cwd": str(tmp_path), "rows": 30, "columns": 90}
        request |= {"variables": {"PS1": "$ ", "MINE": "a b"}} | changes
        connection.sendall(json.dumps(request).encode() + b"\n")
        return connection

    yield open_one
    for connection in opened:
        connection.close()


def read_until(connection: socket.socket, end: bytes) -> bytes:
    read = b""
    while end not in read:
        data = connection.recv(4096)
        if not data:
            break
        read += data
    return read


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_shell_is_where_it_is_asked_for_and_echoes_nothing(
    connect: Connect, tmp_path: Path
) -> None:
    connection = connect()

    connection.sendall(b"pwd; echo $MINE; stty size; tty -s && echo a terminal\n")

    read = read_until(connection, b"a terminal").decode()
    assert f"{tmp_path}\r\na b\r\n30 90\r\na terminal" in read
    assert "stty" not in read


def test_who_does_not_know_the_token_gets_nothing(connect: Connect) -> None:
    assert connect(token="another").recv(1) == b""
    assert connect(token=hashlib.sha256(TOKEN.encode()).hexdigest()).recv(1) == b""


def test_what_runs_in_a_terminal_ends_with_its_connection(connect: Connect) -> None:
    connection = connect()
    connection.sendall(b"(trap '' HUP INT TERM; echo $BASHPID is here; sleep 100)\n")
    pid = int(read_until(connection, b"is here").split()[-3])

    connection.close()

    wait_until(lambda: not is_alive(pid), "the end of what ran there")


def test_a_connection_ends_with_its_shell_and_others_stay(connect: Connect) -> None:
    other, connection = connect(), connect(cwd="/no/such/folder")
    read_until(other, b"$ ")
    began = time.monotonic()

    connection.sendall(b"sleep 50 & echo pid $!; exit\n")
    pid = int(read_until(connection, b"nothing more").split(b"pid ")[1].split()[0])

    assert time.monotonic() - began < 30
    assert psutil.pid_exists(pid), "it was left in the background on purpose"
    os.kill(pid, 9)
    other.sendall(b"echo here\n")
    assert b"here" in read_until(other, b"here")


def test_what_a_shell_prints_just_before_its_end_is_carried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    terminal, shells_end = terminals.open_terminal(24, 80)

    def ends_after_a_last_word(pid: int, options: int) -> tuple[int, int]:
        """On a busy host the shell prints, and ends, after its terminal was looked at."""
        os.write(shells_end, b"the last word\n")
        return pid, 0

    monkeypatch.setattr(terminals.os, "waitpid", ends_after_a_last_word)
    try:
        with ours, theirs:
            assert terminals.carry(theirs, terminal, 1)
            assert ours.recv(100) == b"the last word\r\n"
    finally:
        os.close(terminal)
        os.close(shells_end)
