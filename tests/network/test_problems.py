"""What a person is told where a server gives no answer: the address, the system's words, a cure."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import httpx
import pytest
import requests

from orchestrator.network.connections import network_errors, open_client, open_session, way_to
from orchestrator.network.problems import (
    CAUSES,
    Problem,
    answer_words,
    explain,
    wants_https,
)

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
Kinds = pytest.mark.parametrize("kind", ["httpx", "aiohttp", "requests"])


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *map(str.upper, NAMES)):
        monkeypatch.delenv(name, raising=False)


def problem(kind: str, url: str, timeout_s: float = 10) -> Problem:
    """What keeps the page at a URL away. `requests` stands for the hub's client."""

    def get() -> None:
        with open_client(url, timeout=timeout_s) as client:
            client.get(url)

    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with open_session(url, timeout=timeout) as session, session.get(url):
            pass

    ways = {
        "httpx": get,
        "aiohttp": lambda: asyncio.run(ask()),
        "requests": lambda: requests.get(url, timeout=timeout_s),
    }
    with pytest.raises(network_errors(httpx.HTTPError)) as caught:
        ways[kind]()
    return way_to(url).problem(caught.value)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@Kinds
def test_a_server_that_was_not_started_is_told_with_its_port(kind: str, free_port: int) -> None:
    found = problem(kind, f"http://127.0.0.1:{free_port}/v1")

    assert found.what == f"Connection refused: nothing listens at 127.0.0.1, port {free_port}"
    assert found.cure == "Start it, or correct the port."


@Kinds
@pytest.mark.parametrize(
    ("host", "number", "what", "cure"),
    [
        ("spark", socket.EAI_NONAME, "there is no host of this name, 'spark'", "tailscale status"),
        ("spark.tail1234.ts.net", socket.EAI_NONAME, "no host of this name", "MagicDNS"),
        ("spark.local", socket.EAI_NONAME, "no host of this name", "in its own network alone"),
        ("gpu.example.org", socket.EAI_NONAME, "no host of this name", "spelled right"),
        ("gpu.example.org", socket.EAI_NONAME, "no host of this name", "Is this host online?"),
        ("spark", socket.EAI_AGAIN, "no name server answers", "tailscale status"),
        ("gpu.example.org", socket.EAI_AGAIN, "no name server answers", "online"),
    ],
)
def test_a_name_that_does_not_resolve_is_told_with_where_names_of_its_kind_come_from(
    kind: str, host: str, number: int, what: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "nodename nor servname provided, or not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    found = problem(kind, f"http://{host}:8000/v1")

    assert found.what.startswith("nodename nor servname provided, or not known: ")
    assert what in found.what
    assert cure in found.cure


@Kinds
def test_a_name_that_no_host_has_is_told_as_the_system_tells_it(kind: str) -> None:
    assert "'no-such-host.invalid'" in problem(kind, "http://no-such-host.invalid:8000").what


@Kinds
@pytest.mark.parametrize(
    ("number", "what", "cure"),
    [
        (errno.ECONNREFUSED, "nothing listens at 100.64.0.7, port 8000", "--host 0.0.0.0"),
        (errno.EHOSTUNREACH, "no way leads to 100.64.0.7", "Is that host up"),
        (errno.EHOSTDOWN, "no way leads to 100.64.0.7", "Is that host up"),
        (errno.ENETUNREACH, "no way leads to 100.64.0.7", "tailscale status"),
        (errno.EADDRNOTAVAIL, "no way leads to 100.64.0.7", "online"),
        (errno.ETIMEDOUT, "100.64.0.7, port 8000 says nothing", "awake"),
        (errno.EPERM, "this host forbids it", "firewall"),
        (errno.EACCES, "this host forbids it", "firewall"),
        (errno.EMFILE, "too many at once", "ulimit"),
        (errno.ECONNRESET, "100.64.0.7, port 8000 broke off", "https://"),
    ],
)
def test_what_the_system_says_of_a_connection_is_told_with_its_cure(
    kind: str, number: int, what: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "connect", fail)

    found = problem(kind, "http://100.64.0.7:8000/v1")

    assert found.what.startswith(f"{os.strerror(number)}: ")
    assert what in found.what
    assert cure in found.cure


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.EHOSTDOWN])
def test_a_local_network_that_macos_blocks_is_told_with_where_to_allow_it(number: int) -> None:
    error = OSError(number, os.strerror(number))

    assert "Local Network" in explain(error, "http://spark:8000", system="darwin").cure
    assert "Local Network" not in explain(error, "http://spark:8000", system="linux").cure


@pytest.mark.slow
@Kinds
def test_a_server_that_hangs_gave_no_answer_in_time(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system takes the connection
        port = silent.getsockname()[1]

        assert problem(kind, f"http://127.0.0.1:{port}/", 0.2) == Problem("no answer in time")


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectTimeout("timed out"), aiohttp.ConnectionTimeoutError("Connection timeout")],
)
def test_a_host_that_sleeps_is_told_with_the_port_that_a_firewall_may_keep(
    error: Exception,
) -> None:
    found = explain(error, "http://spark:8000/v1")

    assert found.what == "no answer in time"
    assert found.cure == "Is that host awake, and does every firewall let one to port 8000?"


class _TlsServer(BaseHTTPRequestHandler):
    """What a port for TLS says to plain HTTP: an alert, and no HTTP."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"\x15\x03\x01\x00\x02\x02\x46" + b"\r\n\r\n")


class _HangsUp(BaseHTTPRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.rfile.readline()


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("kind", ["httpx", "aiohttp"])
@pytest.mark.parametrize("port", [_TlsServer], indirect=True)
def test_http_to_a_port_for_https_is_told(kind: str, port: int) -> None:
    found = problem(kind, f"http://127.0.0.1:{port}/v1")

    assert found.what == "it speaks TLS: https:// is wanted, not http://"


@Kinds
@pytest.mark.parametrize("port", [_HangsUp], indirect=True)
def test_a_server_that_hangs_up_is_told(kind: str, port: int) -> None:
    found = problem(kind, f"http://127.0.0.1:{port}/v1")

    assert "hung up without an answer" in found.what or "broke off" in found.what
    assert "https://" in found.cure


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("certificate has expired", "has expired"),
        ("certificate is not yet valid", "is not valid yet"),
        ("Hostname mismatch, certificate is not valid for 'spark'.", "another host's"),
        ("IP address mismatch, certificate is not valid for '100.64.0.7'.", "another host's"),
        ("self-signed certificate", "SSL_CERT_FILE"),
    ],
)
def test_a_certificate_that_is_refused_is_told_with_the_reason(said: str, what: str) -> None:
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] failed: {said}")

    assert what in explain(error, "https://spark").what


def test_a_proxy_that_is_down_is_told_as_the_proxy(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "socks5"):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:secret@127.0.0.1:{free_port}")
        for kind in ("httpx", "aiohttp"):
            found = problem(kind, "http://spark:8000/v1")

            assert found.what.endswith(f"nothing listens at the proxy 127.0.0.1, port {free_port}")
            assert found.cure == "Is the proxy up?"


def test_an_error_that_names_only_a_class_is_told_by_what_it_was_raised_from() -> None:
    """As `datasets` raises it."""
    error = ConnectionError("Couldn't reach 'a/b' on the Hub (ConnectError)")
    error.__cause__ = httpx.ConnectError("")
    error.__cause__.__context__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    assert "nothing listens at huggingface.co" in explain(error, "https://huggingface.co").what


def test_every_cause_has_words_and_a_cure_for_every_place() -> None:
    for number in CAUSES:
        for url in ("http://spark:8000/v1", "http://127.0.0.1:8000/v1", "", "http://[::1", "x"):
            for system in ("darwin", "linux"):
                found = explain(OSError(number, "it fails"), url, system=system)
                assert found.cure
                assert "PLACE" not in found.what


def test_errors_in_a_circle_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert explain(first).what == "ValueError: first"


def test_a_redirect_says_where_to() -> None:
    assert answer_words(307, location="https://spark/v1/models") == (
        "HTTP 307 to https://spark/v1/models"
    )
    assert answer_words(404, "no\nmodel", "https://spark") == "HTTP 404: no model"
    assert answer_words(308, "moved") == "HTTP 308: moved"


def test_a_proper_answer_may_say_that_https_is_wanted() -> None:
    assert wants_https(400, "<h1>The plain HTTP request was sent to HTTPS port</h1>")
    assert wants_https(400, "Client sent an HTTP request to an HTTPS server.\n")
    assert not wants_https(400, "max_tokens is too large")
    assert not wants_https(404, "https port")
