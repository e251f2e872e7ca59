"""What a person is told where no engine answers: address, setting, the system's words, the cure."""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.backends.docker import engine as engines
from orchestrator.backends.docker.address import DEFAULT_SOCKET, EngineAddress
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.no_engine import how_to_start, no_engine
from orchestrator.errors import PrerequisiteError

# the SDK leaves a socket that could not be connected to the garbage collector
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
UNIX = EngineAddress("unix:///somewhere/docker.sock", "DOCKER_HOST")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets have room for a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="engine-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PrerequisiteError]]:
    """Connect to the engine that a setting names."""

    def ask(host: str | Path, timeout_s: int = 5) -> PrerequisiteError:
        url = f"unix://{host}" if isinstance(host, Path) else host
        monkeypatch.setenv("DOCKER_HOST", url)
        with pytest.raises(PrerequisiteError) as caught:
            connect(timeout_s)
        assert caught.value.what.startswith(f"no Docker engine answers at {url} (DOCKER_HOST)")
        assert "DockerException" not in str(caught.value)
        assert "\n" not in str(caught.value)
        return caught.value

    yield ask
    gc.collect()


def leave_socket(path: Path) -> Path:
    """As an engine leaves it that was killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    return path


def test_an_engine_that_was_not_started(folder: Path, refused: Callable[..., Exception]) -> None:
    said = str(refused(folder / ".orbstack" / "run" / "docker.sock"))

    assert "No such file or directory: no engine has made this socket" in said
    assert "`orb start`" in said


def test_a_dead_sockets_engine_is_gone(folder: Path, refused: Callable[..., Exception]) -> None:
    said = str(refused(leave_socket(folder / "colima.sock")))

    assert "Connection refused: the engine that made this socket is gone" in said
    assert "`colima start`" in said


def test_a_dead_socket_of_the_context_that_is_in_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `docker context use orbstack`, with OrbStack not started."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    path = leave_socket(folder / "docker.sock")
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"orbstack").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoints = {"docker": {"Host": f"unix://{path}"}}
    meta.write_text(json.dumps({"Name": "orbstack", "Endpoints": endpoints}))
    (folder / "config.json").write_text(json.dumps({"currentContext": "orbstack"}))

    with pytest.raises(PrerequisiteError) as caught:
        connect(5)
    gc.collect()

    assert caught.value.what == (
        f"no Docker engine answers at unix://{path} (context 'orbstack' of {folder}/config.json) "
        "(Connection refused: the engine that made this socket is gone)."
    )
    assert "`orb start`" in caught.value.cure


def test_a_link_to_the_socket_of_an_engine_that_was_removed(
    folder: Path, refused: Callable[..., Exception]
) -> None:
    (folder / "docker.sock").symlink_to(folder / ".docker" / "run" / "docker.sock")

    said = str(refused(folder / "docker.sock"))

    assert f"which leads to {folder.resolve()}/.docker/run/docker.sock (No such file" in said
    assert "Start Docker Desktop" in said


def test_a_file_that_is_no_socket(folder: Path, refused: Callable[..., Exception]) -> None:
    (folder / "docker.sock").write_text("")

    assert os.strerror(errno.ECONNREFUSED) in str(refused(folder / "docker.sock"))


def test_a_socket_whose_path_is_too_long(folder: Path, refused: Callable[..., Exception]) -> None:
    assert "too long for a socket" in str(refused(folder / ("long" * 40) / "docker.sock"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_user_who_may_not_speak_to_the_engine(number: int) -> None:
    error = PermissionError(number, os.strerror(number))

    on_linux = no_engine(error, UNIX, system="linux")
    assert f"({os.strerror(number)}: this user may not" in on_linux.what
    assert "usermod -aG docker" in on_linux.cure
    assert "usermod" not in no_engine(error, UNIX, system="darwin").cure


@pytest.fixture
def answering(folder: Path) -> Iterator[Callable[[bytes | None], Path]]:
    """A socket that answers everything with these bytes; with None, never."""
    servers: list[socket.socket] = []
    held: list[socket.socket] = []

    def serve(server: socket.socket, answer: bytes | None) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

    def start(answer: bytes | None) -> Path:
        path = folder / "docker.sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        servers.append(server)
        threading.Thread(target=serve, args=(server, answer), daemon=True).start()
        return path

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for connection in held:
        connection.close()


def test_an_engine_that_hangs(
    answering: Callable[[bytes | None], Path], refused: Callable[..., Exception]
) -> None:
    assert "no answer in time: the engine hangs" in str(refused(answering(None), 1))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "broke off"),
        (
            b"HTTP/1.1 500 Paused\r\nContent-Type: application/json\r\nContent-Length: 45\r\n\r\n"
            b'{"message":"Docker Desktop is manually paused"}',
            "manually paused",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
    ],
    ids=["it starts", "it is paused", "it is no engine"],
)
def test_an_engine_that_answers_something_else(
    answering: Callable[[bytes | None], Path],
    refused: Callable[..., Exception],
    answer: bytes,
    says: str,
) -> None:
    assert says in str(refused(answering(answer)))


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("tcp://127.0.0.1:9", "Connection refused: nothing listens at 127.0.0.1, port 9"),
        ("tcp://no-such-host.invalid:2375", "there is no host of this name"),
        ("npipe:////./pipe/docker_engine", "npipe"),
        ("fd://3", "fd"),
        ("tcp://gpu:port", "port"),
    ],
)
def test_another_address_that_leads_nowhere(
    host: str, says: str, refused: Callable[..., Exception]
) -> None:
    assert says in str(refused(host)).partition("(DOCKER_HOST)")[2]


@pytest.mark.parametrize(
    ("url", "origin", "target", "on_a_mac", "on_linux"),
    [
        ("unix:///Users/x/.orbstack/run/docker.sock", "context", "", "orb start", "orb start"),
        (DEFAULT_SOCKET, "default", "/Users/x/.orbstack/run/docker.sock", "orb start", "orb start"),
        ("unix:///x/.colima/default/docker.sock", "context", "", "colima start", "colima start"),
        ("unix:///x.sock", "context 'colima-big' of a", "", "colima start", "colima start"),
        ("unix:///x/.lima/docker/sock/docker.sock", "", "", "limactl start", "limactl start"),
        ("unix:///x/.docker/run/docker.sock", "", "", "open -a Docker", "docker-desktop"),
        ("unix:///x", "context 'desktop-linux' of", "", "open -a Docker", "docker-desktop"),
        ("unix:///x/.rd/docker.sock", "", "", "rdctl start", "rdctl start"),
        ("unix:///run/user/1000/docker.sock", "", "", "--user start docker", "--user start"),
        (DEFAULT_SOCKET, "Docker's default", "", "`colima start`", "sudo systemctl start docker"),
    ],
)
def test_the_engine_is_started_by_what_its_address_gives_away(
    url: str, origin: str, target: str, on_a_mac: str, on_linux: str
) -> None:
    address = EngineAddress(url, origin)

    assert on_a_mac in how_to_start(address, target, "darwin")
    assert on_linux in how_to_start(address, target, "linux")


def test_containers_that_can_not_be_listed_are_told_with_the_engines_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Containers:
        def list(self, **_: object) -> None:
            raise OSError(errno.EPIPE, "Broken pipe")

    class Client:
        containers = Containers()

    with pytest.raises(PrerequisiteError, match="Broken pipe"):
        list(engines.our_containers(Client()))  # type: ignore[arg-type]
