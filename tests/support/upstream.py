"""A model server that says what a test tells it to, a reply a request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class Reply:
    """`chunks` are written one by one; `breaks_off` hangs up after them, before their end."""

    status: int = 200
    chunks: Sequence[bytes] = ()
    content_type: str = "application/json"
    breaks_off: bool = False
    after_s: float = 0.0


def completion(content: str | None = "an answer", **more: Any) -> Reply:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, **more.pop("usage", {})},
    }
    return Reply(chunks=[json.dumps(body).encode()], **more)


def error(status: int, message: str, **more: Any) -> Reply:
    body = {"error": {"message": message, "type": "x", "param": None, "code": status}}
    return Reply(status, [json.dumps(body).encode()], **more)


def stream(*deltas: dict[str, Any], ends: bool = True, **more: Any) -> Reply:
    """Events with these deltas; then finish_reason, usage and [DONE], unless it breaks off."""
    events: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if ends:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
    chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return Reply(
        chunks=[*chunks, *([b"data: [DONE]\n\n"] if ends else [])],
        content_type="text/event-stream",
        breaks_off=not ends,
        **more,
    )


@dataclass
class Upstream:
    """Answers requests of agents by `script`, then by `otherwise`; probes by `probe`."""

    script: list[Reply] = field(default_factory=list)
    otherwise: Callable[[], Reply] = completion
    probe: Callable[[], Reply] = completion
    metrics: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of agents' requests."""
    headers: list[dict[str, str]] = field(default_factory=list)
    probes: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)
    """A client went away before it had its answer."""

    def __post_init__(self) -> None:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                known = {"/metrics": upstream.metrics.encode(), "/v1/models": b'{"data": []}'}
                text = known.get(self.path, b"")
                self._write(Reply(200 if text else 404, [text]))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._write(upstream.reply(body, dict(self.headers)))

            def _write(self, reply: Reply) -> None:
                time.sleep(reply.after_s)
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                length = sum(map(len, reply.chunks)) + reply.breaks_off
                self.send_header("Content-Length", str(length))
                self.end_headers()
                try:
                    for chunk in reply.chunks:
                        self.wfile.write(chunk)
                        self.wfile.flush()
                except OSError:
                    upstream.hung_up.set()
                self.close_connection |= reply.breaks_off

            def log_message(self, format: str, *args: Any) -> None: ...

        self._handler = Handler
        self._start(0)

    def _start(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def reply(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        if body["messages"][-1]["content"] == "ping":
            self.probes += 1
            return self.probe()
        self.asked.append(body)
        self.headers.append(headers)
        return self.script.pop(0) if self.script else self.otherwise()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def start_again(self) -> None:
        self._start(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
