"""How an engine reports a pull, line by line, and what is made of it: bytes and signs of life."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.docker import pull_stream
from orchestrator.backends.docker.engine import ENGINE_ERRORS
from orchestrator.backends.docker.pull_stream import EnginePull, Stalled, Transferred

Line = dict[str, Any]
ODD = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=1)
DETAIL = st.dictionaries(st.sampled_from(["current", "total"]), ODD) | ODD
STATUS = st.sampled_from(["Downloading", "Download complete", "Extracting", "Digest: "]) | ODD


def line(status: str, layer: str = "a", **detail: Any) -> Line:
    return {"status": status, "id": layer, "progressDetail": detail}


def bytes_of(*lines: Line) -> list[int]:
    progress, told = Transferred(), []
    for each in lines:
        progress.take(each)
        told.append(progress.bytes)
    return told


def test_bytes_of_layers_are_added_and_one_that_is_there_has_none() -> None:
    told = bytes_of(
        line("Already exists", "b"),
        line("Downloading", "a", current=10, total=100),
        line("Downloading", "c", current=5, total=50),
        line("Downloading", "a", current=60, total=100),
        line("Verifying Checksum", "a"),
        line("Download complete", "c"),
        line("Extracting", "a", current=1, total=100),
    )
    assert told == [0, 10, 15, 65, 105, 150, 150]


def test_a_layer_too_small_to_be_seen_coming_counts_once_it_is_extracted() -> None:
    told = bytes_of(line("Download complete"), line("Extracting", current=5, total=7))
    assert told == [0, 7]


def test_a_layer_that_broke_off_goes_on_where_it_was() -> None:
    """Its total is then that of the rest."""
    told = bytes_of(
        line("Downloading", current=30, total=100),
        line("Retrying in 5 seconds"),
        line("Downloading", current=0, total=70),
        line("Downloading", current=20, total=70),
        line("Download complete"),
    )
    assert told == [30, 30, 30, 50, 100]


def test_a_layer_that_begins_anew_never_goes_back() -> None:
    told = bytes_of(
        line("Downloading", current=60, total=100), line("Downloading", current=10, total=100)
    )
    assert told == [60, 60]


def test_containerd_counts_the_seconds_of_an_extraction_which_are_no_bytes() -> None:
    told = bytes_of(
        line("Downloading", current=8, total=8),
        line("Download complete"),
        line("Extracting", current=1, units="s"),
        line("Extracting", current=500, units="s"),
    )
    assert told == [8, 8, 8, 8]


def test_the_digest_is_that_of_the_manifest() -> None:
    progress = Transferred()
    progress.take({"status": "Digest: sha256:abc"})
    progress.take({"status": "Status: Downloaded newer image for x:latest"})
    assert progress.digest == "sha256:abc"


def test_only_what_changes_is_a_sign_of_life() -> None:
    progress = Transferred()
    assert progress.take(line("Downloading", "a", current=1, total=9))
    assert progress.take(line("Downloading", "b", current=1, total=9))
    assert not progress.take(line("Downloading", "a", current=1, total=9))
    assert progress.take(line("Downloading", "a", current=2, total=9))
    assert progress.take(line("Download complete", "a"))
    assert progress.take(line("Extracting", "a", current=1, units="s"))
    assert not progress.take(line("Extracting", "a", current=1, units="s"))
    assert progress.take(line("Extracting", "a", current=2, units="s"))


@given(st.lists(st.fixed_dictionaries({"status": STATUS, "id": ODD, "progressDetail": DETAIL})))
def test_whatever_an_engine_writes_bytes_never_go_back(lines: list[Line]) -> None:
    told = bytes_of(*lines)
    assert told == sorted(told)


class FakeEngine(ThreadingHTTPServer):
    """Reports a pull as a test says."""

    daemon_threads = True

    def __init__(self, report: Callable[[Callable[[bytes], None]], None]) -> None:
        super().__init__(("127.0.0.1", 0), Reporting)
        self.report = report
        self.asked: list[str] = []
        self.hung_up = threading.Event()


class Reporting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeEngine

    def do_POST(self) -> None:
        self.server.asked.append(self.path)

        def write(data: bytes) -> None:
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            except OSError:
                self.server.hung_up.set()
                raise

        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.server.report(write)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def pull(
    report: Callable[[Callable[[bytes], None]], None],
) -> Iterator[tuple[FakeEngine, EnginePull]]:
    server = FakeEngine(report)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"tcp://127.0.0.1:{server.server_address[1]}"
    try:
        with (
            closing(docker.DockerClient(base_url=address, version="1.41")) as client,
            EnginePull(client, "mini:5000/x/y:v1", "linux/amd64", {}) as pulling,
        ):
            yield server, pulling
    finally:
        server.shutdown()
        server.server_close()


def json_line(**line: Any) -> bytes:
    return json.dumps(line).encode() + b"\r\n"


def test_name_tag_and_platform_are_asked_for() -> None:
    def report(write: Callable[[bytes], None]) -> None:
        write(json_line(status="Digest: sha256:1"))
        write(b"")

    with pull(report) as (server, pulling):
        *_, last = pulling.follow(5)

    assert last.digest == "sha256:1"
    (asked,) = server.asked
    assert "fromImage=mini%3A5000%2Fx%2Fy&tag=v1&platform=linux%2Famd64" in asked


@pytest.mark.slow
def test_an_engine_that_repeats_itself_has_stalled_and_is_hung_up_on() -> None:
    """As over containerd's image store, ten times a second."""

    def report(write: Callable[[bytes], None]) -> None:
        for _ in range(2000):
            write(
                json_line(status="Downloading", id="a", progressDetail={"current": 1, "total": 9})
            )
            time.sleep(0.01)

    with pull(report) as (server, pulling), pytest.raises(Stalled):
        list(pulling.follow(0.2))
    assert server.hung_up.wait(5)


@pytest.mark.slow
def test_an_engine_that_says_nothing_has_stalled() -> None:
    over = threading.Event()
    with pull(lambda write: over.wait(5)) as (_, pulling), pytest.raises(Stalled):  # type: ignore[arg-type, return-value]
        list(pulling.follow(0.2))
    over.set()


def test_who_follows_gets_control_again_and_again_while_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pull_stream, "SHOWN_EVERY_S", 0.02)

    def report(write: Callable[[bytes], None]) -> None:
        write(json_line(status="Downloading", id="a", progressDetail={"current": 1, "total": 9}))
        server_is_over.wait(5)

    server_is_over = threading.Event()
    with pull(report) as (_, pulling):
        steps = pulling.follow(60)
        assert [next(steps).bytes for _ in range(5)][-1] == 1
    server_is_over.set()


@pytest.mark.parametrize(
    "rest",
    [b'{"status": "Downl', b"<html>", b'{"error": "no space left on device"}\r\n', b"[1]\r\n{\r\n"],
)
def test_a_report_that_is_cut_off_or_is_none_is_an_error_of_the_engine(rest: bytes) -> None:
    def report(write: Callable[[bytes], None]) -> None:
        write(json_line(status="Pulling from x/y", id="v1"))
        write(rest)
        write(b"")

    with pull(report) as (_, pulling), pytest.raises(ENGINE_ERRORS):
        list(pulling.follow(5))


def test_a_connection_that_breaks_is_an_error_of_the_engine() -> None:
    with (
        pull(lambda write: write(json_line(status="Pulling from x/y", id="v1"))) as (_, pulling),
        pytest.raises(ENGINE_ERRORS),
    ):
        list(pulling.follow(5))
