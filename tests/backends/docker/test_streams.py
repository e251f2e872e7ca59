"""How a command's output comes over the engine's connection: whole, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import docker as sdk
import pytest

from orchestrator.backends import Sandbox
from orchestrator.backends.docker.engine import ENGINE_ERRORS, LABEL, connect_for_harness
from orchestrator.backends.docker.streams import Demultiplexer, WholeOutputs, read_output

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
PATIENCE_S = 20.0


def frame(data: bytes) -> bytes:
    return b"\1\0\0\0" + len(data).to_bytes(4, "big") + data


class FakeEngine(socketserver.ThreadingTCPServer):
    """Starts a command whose output arrives in these pieces; then it hangs up, or does not."""

    daemon_threads = True

    def __init__(self, pieces: list[bytes], hangs_up: bool) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.pieces, self.hangs_up = pieces, hangs_up
        self.over = threading.Event()


class Connection(socketserver.StreamRequestHandler):
    server: FakeEngine

    def handle(self) -> None:
        line, size = self.rfile.readline(), 0
        while header := self.rfile.readline().strip():
            if header.lower().startswith(b"content-length:"):
                size = int(header.split(b":")[1])
        self.rfile.read(size)
        if line.startswith(b"GET"):
            body = json.dumps({"Running": False}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        if not self.server.pieces:
            self.server.over.wait(PATIENCE_S)
            return
        first, *more = self.server.pieces
        self.wfile.write(HEAD + first)
        for piece in more:
            time.sleep(0.05)
            self.wfile.write(piece)
        if not self.server.hangs_up:
            self.server.over.wait(PATIENCE_S)


@contextmanager
def engine(
    pieces: list[bytes], hangs_up: bool = True, kind: type[sdk.APIClient] = sdk.APIClient
) -> Iterator[sdk.APIClient]:
    with FakeEngine(pieces, hangs_up) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        url = f"tcp://127.0.0.1:{server.server_address[1]}"
        with contextlib.closing(kind(base_url=url, version="1.41", timeout=2)) as api:
            yield api
        server.over.set()
        server.shutdown()


def read(api: sdk.APIClient) -> bytes:
    output = bytearray()
    assert read_output(api, "e", output.extend, time.monotonic() + PATIENCE_S)
    return bytes(output)


@pytest.mark.slow
def test_output_that_arrives_with_the_headers_is_not_lost() -> None:
    with engine([frame(b"FIRST"), frame(b"SECOND")]) as api:
        assert read(api) == b"FIRSTSECOND"


@pytest.mark.slow
def test_output_is_not_lost_where_a_process_in_the_background_keeps_the_stream_open() -> None:
    with engine([frame(b"ALL OF IT")], hangs_up=False) as api:
        assert read(api) == b"ALL OF IT"


def test_a_command_may_print_nothing() -> None:
    with engine([b""]) as api:
        assert read(api) == b""


@pytest.mark.slow
def test_frames_may_come_in_pieces() -> None:
    data = frame(b"one") + frame(b"") + frame(b"two" * 9000)

    with engine([data[:5], data[5:9], data[9:20], data[20:9999], data[9999:]]) as api:
        assert read(api) == b"one" + b"two" * 9000


@pytest.mark.slow
@pytest.mark.parametrize("left", [3, 8, 12])
def test_output_that_is_cut_off_is_reported(left: int) -> None:
    with engine([frame(b"whole"), frame(b"not whole")[:left]]) as api, pytest.raises(ENGINE_ERRORS):
        read(api)


@pytest.mark.slow
def test_a_command_that_the_engine_never_ends_is_given_up() -> None:
    with engine([frame(b"")], hangs_up=False) as api:
        api.exec_inspect = lambda exec_id: {"Running": True}
        output = bytearray()

        assert not read_output(api, "e", output.extend, time.monotonic() + 0.3)


@pytest.mark.slow
def test_an_engine_that_never_answers_is_given_up() -> None:
    with engine([]) as api, pytest.raises(ENGINE_ERRORS):
        read(api)


@pytest.mark.slow
@pytest.mark.parametrize("as_stream", [False, True])
def test_the_harness_gets_what_arrives_with_the_headers_too(as_stream: bool) -> None:
    with engine([frame(b"FIRST"), frame(b"SECOND")], kind=WholeOutputs) as api:
        output = api.exec_start("e", stream=as_stream)
        assert (b"".join(output) if as_stream else output) == b"FIRSTSECOND"


@pytest.mark.slow
def test_the_harness_is_told_when_output_is_cut_off() -> None:
    with (
        engine([frame(b"whole"), frame(b"not whole")[:12]], kind=WholeOutputs) as api,
        pytest.raises(ConnectionResetError),
    ):
        api.exec_start("e")


def test_a_demultiplexer_knows_whether_a_frame_is_half_read() -> None:
    got = bytearray()
    frames = Demultiplexer(got.extend)
    frames.feed(frame(b"abc") + frame(b"defg")[:10])
    assert (bytes(got), frames.is_whole) == (b"abc", False)
    frames.feed(frame(b"defg")[10:])
    assert (bytes(got), frames.is_whole) == (b"abcdefg", True)


@pytest.mark.docker
def test_the_harness_gets_the_whole_output_of_real_commands(
    open_sandbox: Callable[..., Sandbox],
) -> None:
    open_sandbox("docker")
    with contextlib.closing(connect_for_harness(60)) as client:
        (container,) = client.containers.list(filters={"label": f"{LABEL}.run=test-{os.getpid()}"})
        many = container.exec_run(["seq", "100000"])
        assert many.output == b"".join(b"%d\n" % n for n in range(1, 100001))
        for n in range(40):
            said = container.exec_run(["bash", "-c", f"echo {n}; echo {n} >&2; exit 3"])
            assert (said.exit_code, sorted(said.output.split())) == (3, [b"%d" % n] * 2)


@pytest.mark.docker
def test_of_many_commands_in_a_row_every_output_is_whole(
    open_sandbox: Callable[..., Sandbox],
) -> None:
    sandbox = open_sandbox("docker")

    assert [sandbox.exec(f"echo {n}", 30).text for n in range(60)] == [f"{n}\n" for n in range(60)]
