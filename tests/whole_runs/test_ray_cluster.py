"""A run on a Ray that a person started with `ray start`, as the guide says."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import CommandLine, wait_until

from orchestrator.driver.ray_watch import kill_session

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SLOTS = {"rollout_slot": 2, "grade_slot": 1}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with a blank; nothing of Ray's is set in the environment."""
    folder = tmp_path / "my home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def start_head(home: Path) -> Iterator[Callable[..., str]]:
    """`ray start --head`, in a session of its own; gives its address."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        started: list[subprocess.Popen[bytes]] = []

        def start(**environment: str) -> str:
            port = free_port()
            words = ["--head", "--port", str(port), "--temp-dir", folder, "--num-cpus", "2"]
            words += ["--resources", json.dumps(SLOTS), "--include-dashboard=false", "--block"]
            log = open(home / "ray.log", "w+b")  # noqa: SIM115 - of the process
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **environment},
            )
            log.close()
            started.append(process)
            wait_until(lambda: b"Ray runtime started" in (home / "ray.log").read_bytes(), "Ray")
            return f"127.0.0.1:{port}"

        yield start
        for process in started:
            kill_session(process.pid)
            assert process.wait() == -signal.SIGKILL


def leave_token(home: Path) -> None:
    """As a launch of an earlier version did, or `ray get-auth-token --generate`."""
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(secrets.token_hex(32), encoding="ascii")


@pytest.mark.parametrize("mode", [{}, {"RAY_AUTH_MODE": "disabled"}], ids=["token", "no token"])
def test_a_run_joins_the_ray_that_was_started_where_a_token_lay(
    orchestrate: CommandLine,
    home: Path,
    start_head: Callable[..., str],
    mode: dict[str, str],
) -> None:
    leave_token(home)
    address = start_head(**mode)

    run = ("process", "joined", "--agent", "gold", "--instances", "orchard__ledger-12")
    ended = orchestrate.launch(*run, "--ray-address", address)

    assert (ended.exit_code, ended.report["resolved"]) == (0, 1), ended.stderr
