"""The way to a server, as both clients take it: through which proxy, and whom they trust."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib import request

import aiohttp
import httpx
import pytest
import requests
from support.fake_proxy import FakeProxy

import orchestrator
from orchestrator.errors import PrerequisiteError
from orchestrator.network.connections import (
    environment_for,
    network_errors,
    open_client,
    open_session,
    require_way,
    way_to,
)

PAGE = b"here I am"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
Kinds = pytest.mark.parametrize("kind", ["httpx", "aiohttp"])


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one of `gpu` and 127.0.0.1, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += " -subj /CN=gpu -addext subjectAltName=DNS:gpu,IP:127.0.0.1"
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


def get(kind: str, url: str) -> bytes:
    """The page at a URL; raises what the client raises."""
    if kind == "httpx":
        with open_client(url, timeout=10) as client:
            return client.get(url).content

    async def ask() -> bytes:
        timeout = aiohttp.ClientTimeout(total=10)
        async with open_session(url, timeout=timeout) as session, session.get(url) as reply:
            return await reply.read()

    return asyncio.run(ask())


def problem(kind: str, url: str) -> str:
    """What keeps the page at a URL away."""
    with pytest.raises(network_errors(httpx.HTTPError)) as caught:
        get(kind, url)
    return way_to(url).problem(caught.value).what


@Kinds
@pytest.mark.parametrize(
    ("variable", "scheme", "asked"),
    [
        ("HTTP_PROXY", "http://", "http gpu:8000"),
        ("http_proxy", "", "http gpu:8000"),
        ("ALL_PROXY", "http://", "http gpu:8000"),
        ("ALL_PROXY", "socks5://", "socks gpu:8000"),
        ("all_proxy", "socks5h://", "socks gpu:8000"),
    ],
)
def test_a_server_is_asked_through_the_proxy_that_the_environment_names(
    kind: str,
    variable: str,
    scheme: str,
    asked: str,
    server: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FakeProxy(server.server_port) as proxy:
        monkeypatch.setenv(variable, f"{scheme}me:s%40crt@{proxy.place}/")

        assert get(kind, "http://gpu:8000/v1") == PAGE
        assert proxy.asked == [asked], "the name goes to the proxy as it is"
        assert proxy.logins == ["me:s@crt" if "socks" in scheme else "Basic bWU6c0BjcnQ="]
        assert str(way_to("http://gpu:8000/v1")).endswith(f"***@{proxy.place} of {variable}")


@Kinds
def test_preflight_and_gateway_take_a_macs_proxy_and_its_exceptions_alike(
    kind: str, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProxy(server.server_port) as proxy:
        settings = {"http": f"http://{proxy.place}"}
        monkeypatch.setattr(request, "getproxies_macosx_sysconf", lambda: settings, raising=False)
        monkeypatch.setattr(
            request,
            "proxy_bypass_macosx_sysconf",
            lambda host: host == "spark.local",
            raising=False,
        )
        monkeypatch.setattr(socket, "getaddrinfo", _no_name)

        assert get(kind, "http://gpu:8000/v1") == PAGE
        assert proxy.asked == ["http gpu:8000"]
        assert "no host of this name, 'spark.local'" in problem(kind, "http://spark.local:8000/v1")
        assert proxy.asked == ["http gpu:8000"]


_getaddrinfo = socket.getaddrinfo


def _no_name(host: str, *given: Any, **more: Any) -> Any:
    if host == "spark.local":
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return _getaddrinfo(host, *given, **more)


OWN_CLIENTS = {
    "network/connections.py": "chooses the way",
    "endpoint/client.py": "asks the gateway, which no proxy lies before",
    "gateway/link.py": "asks the gateway",
}


@pytest.mark.slow
def test_nobody_else_makes_a_client_that_would_find_its_own_way() -> None:
    makes = re.compile(
        r"\b(httpx\.(Async)?Client|aiohttp\.ClientSession|requests\.(get|post|Session)|urlopen|"
        r"httpx\.(get|post|head|stream))\("
    )
    package = Path(orchestrator.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if makes.search(path.read_text(encoding="utf-8"))
    }

    assert found == set(OWN_CLIENTS)


@Kinds
def test_this_host_is_asked_directly_whatever_the_environment_says(
    kind: str, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES[:3]:
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")

    for host in ("127.0.0.1", "localhost"):
        assert get(kind, f"http://{host}:{server.server_port}") == PAGE
    assert str(way_to("http://localhost")) == ""


@Kinds
@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("http://127.0.0.1:9", "onnect"),
        ("socks5://127.0.0.1:9", "onnect"),
        ("http://no-such-host.invalid:1", "no host of this name"),
    ],
)
def test_a_dead_proxy_is_an_error_of_the_network(
    kind: str, proxy: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    assert says in problem(kind, "http://gpu:8000/v1")


@Kinds
@pytest.mark.parametrize("url", ["http://gpu:8000/v1", "https://gpu:8000/v1"])
def test_a_proxy_that_wants_a_login_says_so(
    kind: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with FakeProxy(answer=answer) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.place}")

        assert problem(kind, url).startswith("the proxy wants a login (HTTP 407)")


@pytest.mark.slow
@Kinds
def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(
    kind: str, server: ThreadingHTTPServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}/v1"
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    assert "SSL_CERT_FILE" in problem(kind, url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    assert get(kind, url) == PAGE
    with FakeProxy(server.server_port) as proxy:
        for scheme in ("http", "socks5"):
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{proxy.place}")
            assert get(kind, "https://gpu:8443/v1") == PAGE
        assert proxy.asked == ["http gpu:8443", "socks gpu:8443"]


@Kinds
def test_a_server_without_tls_is_not_asked_by_https(kind: str, server: ThreadingHTTPServer) -> None:
    assert "it speaks no TLS" in problem(kind, f"https://127.0.0.1:{server.server_port}/v1")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_certificates_that_is_none_is_named(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    require_way("http://gpu/v1")
    with pytest.raises(PrerequisiteError, match=f"SSL_CERT_FILE is '{file}'"):
        require_way("https://gpu/v1")
    monkeypatch.setenv("http_proxy", "https://proxy:3128")
    with pytest.raises(PrerequisiteError, match="SSL_CERT_FILE"):
        require_way("http://gpu/v1")


def test_others_who_read_the_environment_find_one_proxy_and_no_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "fd7a::/48,inside")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    monkeypatch.setenv("all_proxy", "socks5://other")
    before = dict(os.environ)

    def seen() -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if k.lower() in NAMES}

    with environment_for("https://hub"):
        assert seen() == {"ALL_PROXY": "http://proxy:1"}
    with environment_for("https://inside"):
        assert seen() == {"NO_PROXY": "*"}, "or they would read a Mac's settings"
        assert requests.utils.should_bypass_proxies("https://inside", None)
    assert dict(os.environ) == before
