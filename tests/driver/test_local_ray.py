"""What keeps Ray from starting here is told in one line with its own cure. No Ray is started."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.driver import local_ray
from orchestrator.driver.local_ray import (
    LocalRay,
    cure_of,
    require_ray,
    temporary_folder,
)
from orchestrator.driver.ray_watch import kill_session
from orchestrator.errors import EXIT_PREREQUISITE, PrerequisiteError

LONG = "/" + "x" * 99


@pytest.fixture(autouse=True)
def no_folder_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def told(address: str | None) -> str:
    with pytest.raises(PrerequisiteError) as caught:
        require_ray(address)
    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert caught.value.cure
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.skipif(sys.platform == "darwin", reason="Ray looks at TMPDIR on Linux only")
def test_a_temporary_folder_of_a_persons_is_rays_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", '/tmp/my "own"')

    assert temporary_folder() == Path('/tmp/my "own"')


@pytest.mark.parametrize("folder", [LONG, "/tmp/größe", "/工作", "relative", ""])
def test_a_temporary_folder_that_ray_can_not_use_is_passed_over(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", folder)

    require_ray(None)
    assert temporary_folder() == Path("/tmp")


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        (LONG, "its name has 100 bytes, more than"),
        ("/" + "x" * 40, "its name has 41 bytes, more than"),
        ("/tmp/größe", "other letters than ASCII's"),
        ("relative", "does not begin at /"),
    ],
)
def test_one_that_was_chosen_for_ray_alone_is_told_with_the_true_cause(
    folder: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", folder)

    said = told(None)

    assert why in said
    assert "RAY_TMPDIR" in said
    assert "memory" not in said


def test_the_longest_folder_has_room_for_every_socket() -> None:
    """Or Ray would refuse what we let pass."""
    folder = "/" + "x" * (local_ray.SOCKET_BYTES - len(local_ray.LONGEST_SOCKET) - 1)
    path = f"{folder}{local_ray.LONGEST_SOCKET}"

    assert len(path) == local_ray.SOCKET_BYTES
    with socket.socket(socket.AF_UNIX) as it, pytest.raises(FileNotFoundError):
        it.connect(path)  # not "path too long"
    with socket.socket(socket.AF_UNIX) as it, pytest.raises(OSError, match="too long"):
        it.connect(f"{path}xx")


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://10.0.0.1:10001", ":6379", "[::1:1", "a:b"])
def test_an_address_is_that_of_a_head(address: str) -> None:
    assert "is not HOST:PORT" in told(address)


def test_a_head_that_does_not_answer_is_told_at_once(address: str) -> None:
    require_ray(address)
    assert "no Ray answers at no-such-host.invalid:6379" in told("no-such-host.invalid:6379")
    assert "`ray start --head`" in told("127.0.0.1:9")


@pytest.mark.parametrize("head", ["10.0.0.1:6379", "spark.tailnet.ts.net:6379", "[fd7a::1]:6379"])
def test_a_mac_that_is_to_join_a_cluster_is_told_what_works_instead(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    said = told(head)

    assert f"a Mac can't be a node of the Ray cluster at {head}" in said
    assert "without --ray-address" in said


def test_a_mac_may_use_a_ray_of_its_own_or_be_told_that_it_may(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    for its_own in (None, "auto", address):
        require_ray(its_own)
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    assert "no Ray answers" in told("no-such-host.invalid:6379")


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        ("[Errno 28] No space left on device: '/tmp/ray'", "Make room in /scratch"),
        ("[Errno 122] Disk quota exceeded", "Make room in /scratch"),
        ("[Errno 13] Permission denied: '/scratch/ray'", "can be written"),
        ("[Errno 30] Read-only file system", "can be written"),
        ("[Errno 24] Too many open files", "ulimit -n"),
        ("[Errno 11] Resource temporarily unavailable", "ulimit -u"),
        ("can't start new thread", "ulimit -u"),
        ("[Errno 12] Cannot allocate memory", "fewer --workers"),
        ("bind: Address already in use", "RAY_GCS_SERVER_PORT"),
        ("The current node timed out during startup.", "/scratch/ray/session_latest/logs"),
    ],
)
def test_each_cause_has_its_own_cure(error: str, cure: str) -> None:
    assert cure in cure_of(error, Path("/scratch"))


HEADS = {
    "print('a word of its own')": "Expecting value",
    "import sys; sys.exit('killed: out of memory')": "killed: out of memory",
    "import os; os._exit(1)": "it ended at once",
    "import time; time.sleep(1000)": "nothing after",
}
"""Processes in the place of Ray's, and what is told of them."""


@pytest.mark.slow
@pytest.mark.parametrize("program", HEADS)
def test_a_ray_that_does_not_come_up_is_told_and_leaves_nothing(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray, "HEAD", ("-c", program))
    monkeypatch.setattr(local_ray, "START_S", 1.0)

    with pytest.raises(PrerequisiteError, match="Ray can't start") as caught:
        LocalRay().wait()

    assert HEADS[program] in str(caught.value)
    children = psutil.Process().children()
    assert [child for child in children if program in child.cmdline()] == []


def test_of_a_session_every_process_is_killed_and_nobody_elses() -> None:
    words = ["bash", "-c", "sleep 1000 >/dev/null & echo $!; exec sleep 1000"]
    first, second = (
        subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE) for _ in range(2)
    )
    for shell in (first, second):
        assert shell.stdout is not None
        assert os.getsid(int(shell.stdout.readline())) == shell.pid

    kill_session(first.pid)

    assert first.wait(10) == -9
    assert second.poll() is None
    kill_session(second.pid)
    assert second.wait(10) == -9
    for shell in (first, second):
        assert shell.stdout is not None
        shell.stdout.close()
