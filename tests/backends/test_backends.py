"""What is particular to one backend: Docker's limits, and where a process sandbox comes from."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as sdk
import pytest
from support.specs import sandbox_spec

from orchestrator.backends import Sandbox, start_sandbox
from orchestrator.backends.base import CappedOutput
from orchestrator.backends.docker.sandbox import _Demultiplexer, _read_with_the_headers, connect
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance

Open = Callable[..., Sandbox]


@pytest.fixture(scope="module")
def engine() -> Iterator[sdk.DockerClient]:
    client = connect()
    yield client
    client.close()


def ours(engine: sdk.DockerClient) -> list[str]:
    label = f"swe-orchestrator.run.session=test-{os.getpid()}"
    found = engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    return [str(container.id) for container in found]


@pytest.mark.docker
def test_a_container_is_found_by_its_labels_and_gone_after_close(
    open_sandbox: Open, engine: sdk.DockerClient
) -> None:
    before = set(ours(engine))
    sandbox = open_sandbox("docker")
    assert len(set(ours(engine)) - before) == 1

    sandbox.close()

    assert set(ours(engine)) - before == set()


@pytest.mark.docker
def test_a_container_that_someone_removed_is_unavailable(
    open_sandbox: Open, engine: sdk.DockerClient
) -> None:
    before = set(ours(engine))
    sandbox = open_sandbox("docker")
    (container,) = set(ours(engine)) - before
    engine.containers.get(container).remove(force=True)

    with pytest.raises(SandboxUnavailable):
        sandbox.exec("true", 10)
    with pytest.raises(SandboxUnavailable):
        sandbox.write_file("f", b"")


@pytest.mark.docker
def test_there_is_no_way_out(open_sandbox: Open) -> None:
    sandbox = open_sandbox("docker")
    result = sandbox.exec("cat /proc/net/route; ls /sys/class/net", 10)

    assert result.text.split()[-1] == "lo"
    assert "eth0" not in result.text


@pytest.mark.docker
def test_memory_is_limited_and_the_sandbox_survives_it(open_sandbox: Open) -> None:
    sandbox = open_sandbox("docker", memory_gb=0.1)
    result = sandbox.exec("python -c 'print(len(bytearray(400_000_000)))'", 30)

    assert result.exit_code != 0
    assert not result.timed_out
    assert sandbox.exec("echo alive", 10).text == "alive\n"


@pytest.mark.docker
@pytest.mark.parametrize(
    "kills",
    [
        "kill -9 -1",
        "pkill sleep; sleep 1.5; pkill bash; kill 1",
        "pkill -x sleep; pkill -x sleep; kill 1; kill -HUP 1",
        "pkill -9 bash",
        "kill 1; kill -INT 1; kill -INT 1; kill -9 1",
    ],
)
def test_no_command_ends_the_sandbox(open_sandbox: Open, kills: str) -> None:
    sandbox = open_sandbox("docker", pids=100)
    sandbox.exec(f"touch /tmp/mark; {kills}", 10)

    assert sandbox.exec("ls /tmp/mark", 10).text == "/tmp/mark\n"


@pytest.mark.docker
def test_what_commands_leave_behind_is_reaped(open_sandbox: Open) -> None:
    """Processes that have ended and nobody waits for count towards the limit of processes."""
    sandbox = open_sandbox("docker", pids=100)
    for _ in range(3):
        sandbox.exec("for i in $(seq 50); do (sleep 0.1 &); done; sleep 0.3", 30)

    assert "Z" not in sandbox.exec("sleep 0.2; ps -eo stat=", 30).text


@pytest.mark.docker
def test_a_sandbox_ends_by_itself_after_its_lifetime(
    open_sandbox: Open, engine: sdk.DockerClient
) -> None:
    before = set(ours(engine))
    open_sandbox("docker", lifetime_s=2)
    deadline = time.monotonic() + 20

    while set(ours(engine)) - before:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.docker
def test_processes_are_limited(open_sandbox: Open) -> None:
    sandbox = open_sandbox("docker", pids=20)
    many = "import subprocess as s; [s.Popen(['sleep', '9']) for _ in range(40)]"

    assert "BlockingIOError" in sandbox.exec(f'python -c "{many}"', 10).text


@pytest.mark.docker
def test_an_image_that_is_not_there_is_unavailable(instance: Instance, tmp_path: Path) -> None:
    other = dataclasses.replace(instance, image="swe-orchestrator/no-such-image:none")

    with pytest.raises(SandboxUnavailable, match=instance.instance_id):
        start_sandbox("docker", sandbox_spec(other, tmp_path))


def test_without_an_engine_a_container_is_unavailable(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    with pytest.raises(SandboxUnavailable, match="no Docker engine"):
        start_sandbox("docker", sandbox_spec(instance, tmp_path))


def test_a_process_sandbox_needs_a_task_folder(instance: Instance, tmp_path: Path) -> None:
    other = dataclasses.replace(instance, task_dir=None)

    with pytest.raises(SandboxUnavailable, match=r"build\.sh"):
        start_sandbox("process", sandbox_spec(other, tmp_path))


def test_a_task_whose_base_commit_is_another_is_unavailable(
    instance: Instance, tmp_path: Path
) -> None:
    with pytest.raises(SandboxUnavailable, match="expected 1234"):
        start_sandbox("process", sandbox_spec(instance, tmp_path, base_commit="1234"))

    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_process_sandboxes_memory_is_limited(open_sandbox: Open) -> None:
    sandbox = open_sandbox("process", memory_gb=0.5)

    assert "MemoryError" in sandbox.exec("python -c 'bytearray(900_000_000)'", 30).text


def test_a_process_sandbox_does_not_see_our_environment(
    open_sandbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")

    assert "secret" not in open_sandbox("process").exec("env", 10).text


def test_no_sandbox_of_that_kind() -> None:
    with pytest.raises(ValueError, match="'vm'"):
        start_sandbox("vm", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [[10], [3, 3, 4], [1] * 10, [4, 6], [9, 1]])
def test_output_at_the_limit_is_kept_whole(sizes: list[int]) -> None:
    capped, data = CappedOutput(10), iter(b"0123456789")
    for size in sizes:
        capped.add(bytes(next(data) for _ in range(size)))

    assert capped.value() == b"0123456789"


def test_output_over_the_limit_says_how_much_is_left_out() -> None:
    capped = CappedOutput(4)
    for byte in b"0123456789":
        capped.add(bytes([byte]))

    assert capped.value() == b"01\n[... 6 bytes left out ...]\n89"


class _FakeEngine(socketserver.StreamRequestHandler):
    """An engine that sends a command's first output in one piece with the HTTP headers."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        self.wfile.write(head + frame(b"FIRST"))
        self.wfile.write(frame(b"SECOND"))


def frame(data: bytes) -> bytes:
    return b"\1\0\0\0" + len(data).to_bytes(4, "big") + data


def test_output_that_arrives_with_the_headers_is_not_lost() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _FakeEngine) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"tcp://127.0.0.1:{server.server_address[1]}"
        with contextlib.closing(sdk.APIClient(base_url=url, version="1.41")) as api:
            stream = api.exec_start("e", socket=True)
            thread.join()
            sock = stream._sock
            output = CappedOutput(1000)
            frames = _Demultiplexer(output.add)
            frames.feed(_read_with_the_headers(stream, sock))
            while data := sock.recv(1000):
                frames.feed(data)
            stream.close()
            sock.close()
    assert output.value() == b"FIRSTSECOND"
    assert frames.is_whole
