"""A registry behind which another one is: slow, rationed, broken or away, as a test tells it to be.

What it allows and breaks may be changed at any time; it holds for what is asked from then on.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

CHUNK = 16384
CARRIED = ("content-type", "content-length", "docker-content-digest", "content-range", "location")


class RegistryProxy:
    """Use it as a context manager: it listens at `address`, of which images are named."""

    def __init__(self, target: str) -> None:
        """`target` is host:port of the registry behind it."""
        self.target = target
        self.asked: list[str] = []
        """What it was asked for: `GET /v2/repository/manifests/latest`."""
        self.sent = 0
        """Bytes of layers and configurations."""
        self.quota: int | None = None
        """Manifests that it gives (GET) in a window; a HEAD tells what is left, and costs none."""
        self.window_s = 60.0
        self.tells_retry_after = True
        self.bytes_per_s: float | None = None
        """Of all that it sends together."""
        self.breaks_off_after: int | None = None
        """Bytes of a layer, after which it hangs up, each time."""
        self.stalls_after: int | None = None
        """Bytes of a layer, after which nothing more comes, and the connection stays."""
        self.hangs = False
        """It takes what it is asked, and does not answer."""
        self.answers: int | None = None
        """An HTTP status that it gives to whatever it is asked, such as 503."""
        self._pulls: list[float] = []
        self._lock = threading.Lock()
        self._may_send_at = 0.0
        self._open: set[socket.socket] = set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen, at the port that it had before."""
        if self._server is None:
            self._server = _Server(self, self._port)
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Be away: connections are refused, and those that are open are cut off."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def opened(self, connection: socket.socket) -> Iterator[None]:
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)

    @property
    def remaining(self) -> int:
        """Pulls that are left now, where there is a quota."""
        return self._remaining(time.monotonic())

    def count(self, is_pull: bool) -> tuple[dict[str, str], float]:
        """A question for a manifest: the headers that tell of the quota, and how long to wait (0:
        it is answered)."""
        if self.quota is None:
            return {}, 0.0
        with self._lock:
            now = time.monotonic()
            left, wait_s = self._remaining(now), 0.0
            if is_pull and left > 0:
                self._pulls.append(now)
                left -= 1
            elif is_pull:
                first = self._pulls[-self.quota] if self.quota else now
                wait_s = max(first + self.window_s - now, 0.1)
            window = f"w={self.window_s:g}"
            headers = {
                "ratelimit-limit": f"{self.quota};{window}",
                "ratelimit-remaining": f"{left};{window}",
                "docker-ratelimit-source": "127.0.0.1",
            }
            return headers, wait_s

    def throttle(self, size: int) -> None:
        """Wait until so many bytes more may go out."""
        with self._lock:
            self.sent += size
            if self.bytes_per_s is None:
                return
            begin = max(self._may_send_at, time.monotonic())
            self._may_send_at = begin + size / self.bytes_per_s
        time.sleep(max(begin - time.monotonic(), 0))

    def _remaining(self, now: float) -> int:
        spent = sum(1 for at in self._pulls if now - at < self.window_s)
        return max((self.quota or 0) - spent, 0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: RegistryProxy, port: int) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle(self) -> None:
        with self.server.proxy.opened(self.connection):
            super().handle()

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """It keeps `asked`."""

    def _serve(self) -> None:
        proxy = self.server.proxy
        proxy.asked.append(f"{self.command} {self.path}")
        while proxy.hangs and not self._is_gone():
            time.sleep(0.02)
        if proxy.answers is not None:
            code = "TOOMANYREQUESTS" if proxy.answers == 429 else "UNAVAILABLE"
            self._refuse(proxy.answers, code, "told to say so", {})
            return
        limits: dict[str, str] = {}
        is_manifest = "/manifests/" in self.path
        if is_manifest or self.path == "/v2/":
            limits, wait_s = proxy.count(is_manifest and self.command == "GET")
            if wait_s > 0:
                if proxy.tells_retry_after:
                    limits["Retry-After"] = str(round(wait_s + 0.5))
                words = (
                    "You have reached your pull rate limit. You may increase the limit by "
                    "authenticating and upgrading: https://www.docker.com/increase-rate-limit"
                )
                self._refuse(429, "TOOMANYREQUESTS", words, limits)
                return
        self._pass_on(limits)

    def _pass_on(self, more: dict[str, str]) -> None:
        upstream = http.client.HTTPConnection(self.server.proxy.target, timeout=60)
        with contextlib.closing(upstream):
            # engines send several of Accept, in any order
            given = {name: self.headers.get_all(name, []) for name in ("Accept", "Range")}
            carried = {name: ", ".join(values) for name, values in given.items() if values}
            upstream.request(self.command, self.path, headers=carried)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in CARRIED or name.lower().startswith("docker-distribution"):
                    self.send_header(name, value)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self._send_body(answer)

    def _send_body(self, answer: http.client.HTTPResponse) -> None:
        proxy, sent = self.server.proxy, 0
        while data := answer.read(CHUNK):
            if "/blobs/" in self.path:
                if proxy.breaks_off_after is not None and sent >= proxy.breaks_off_after:
                    self.close_connection = True
                    return
                while proxy.stalls_after is not None and sent >= proxy.stalls_after:
                    time.sleep(0.02)
                    if self._is_gone():
                        return
                proxy.throttle(len(data))
            self.wfile.write(data)
            sent += len(data)

    def _is_gone(self) -> bool:
        """Whether the client has hung up."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _refuse(self, status: int, code: str, words: str, headers: dict[str, str]) -> None:
        body = json.dumps({"errors": [{"code": code, "message": words}]}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
