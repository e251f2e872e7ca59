"""Servers that never come to an end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from orchestrator.network import whole_answers
from orchestrator.network.connections import open_client, way_to

pytestmark = pytest.mark.slow

LIMIT_S = 0.2
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@contextmanager
def serving(answer: Callable[[Callable[[bytes], object]], None]) -> Iterator[str]:
    """The URL of a server that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                answer(self.wfile.write)
            self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def in_drops(write: Callable[[bytes], object], before: bytes) -> None:
    write(before)
    until = time.monotonic() + 20 * LIMIT_S
    while time.monotonic() < until:
        write(b"x")
        time.sleep(LIMIT_S / 10)


@pytest.mark.parametrize("before", [HEAD, b"HTTP/1.1 200 OK\r\nX: "], ids=["body", "head"])
def test_an_answer_that_comes_in_drops_is_given_up_like_silence(before: bytes) -> None:
    started = time.monotonic()
    with serving(lambda write: in_drops(write, before)) as url, open_client(url) as client:
        with pytest.raises(httpx.ReadTimeout) as caught:
            client.get(url, timeout=LIMIT_S)
        assert time.monotonic() - started < 5 * LIMIT_S
        assert way_to(url).problem(caught.value).what == "no answer in time"


def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whole_answers, "MAX_BYTES", 1 << 20)

    def flood(write: Callable[[bytes], object]) -> None:
        write(HEAD)
        for _ in range(100):
            write(b" " * (1 << 20))

    too_large = pytest.raises(whole_answers.AnswerTooLarge, match="more than 1 MB")
    with serving(flood) as url, open_client(url) as client, too_large:
        client.get(url)


def test_who_takes_long_answers_gets_them_to_the_end() -> None:
    def slowly(write: Callable[[bytes], object]) -> None:
        write(HEAD)
        for _ in range(6):
            write(b"x")
            time.sleep(LIMIT_S / 2)

    with serving(slowly) as url, open_client(url, takes_long_answers=True) as client:
        assert client.get(url, timeout=LIMIT_S).text == "xxxxxx"


def test_what_goes_wrong_before_an_answer_is_told_as_it_is() -> None:
    with serving(lambda write: None) as url:
        pass
    with open_client(url) as client, pytest.raises(httpx.ConnectError):
        client.get(url)
