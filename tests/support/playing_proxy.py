"""A proxy before a real vLLM whose model is noise: it makes the model say what a good one would.

Structured output forces the text, in the model's own dialect, token by token through the server's
real parsers. All else is the server's own: refusals, counting, what it takes for thought.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx

from support.played_model import good_message, spoken


class PlayingProxy:
    """On a port of its own, before `base_url`. `dialect` is a name of `SPEAK`."""

    def __init__(self, base_url: str, dialect: str = "hermes") -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = base_url.removesuffix("/v1")
        self._server.dialect = dialect
        self._server.client = httpx.Client(timeout=120, trust_env=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.client.close()


def forced(request: Mapping[str, Any], dialect: str) -> dict[str, Any]:
    """The request with the answer to it. One that asks for a single token stays as it is."""
    if request.get("max_tokens") == 1:
        return dict(request)
    text = spoken(good_message(request), dialect)
    return {**request, "structured_outputs": {"choice": [text]}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    upstream: str
    dialect: str
    client: httpx.Client


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._pass_on("GET", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = forced(json.loads(body), self.server.dialect)
        self._pass_on("POST", json.dumps(request).encode())

    def _pass_on(self, method: str, body: bytes) -> None:
        names = ("Authorization", "Content-Type")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        url = self.server.upstream + self.path
        reply = self.server.client.request(method, url, content=body, headers=headers)
        self.send_response(reply.status_code)
        self.send_header("Content-Type", reply.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
