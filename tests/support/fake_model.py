"""A model server that says what a test or a bench tells it to, one reply a request.

`serve_replies` is the server, for an event loop of its caller's; `FakeModelServer` runs it in a
thread and writes down what it was asked. The scripted endpoint, which ships, plays whole rollouts.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Reply:
    """`chunks` are written one by one; `breaks_off` hangs up after them, before their end."""

    status: int = 200
    chunks: Sequence[bytes] = ()
    content_type: str = "application/json"
    breaks_off: bool = False
    after_s: float = 0.0
    """From the request's arrival to the first chunk; each further one takes `gap_s` more."""
    gap_s: float = 0.0


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


def events(*chunks: Mapping[str, Any] | str) -> list[bytes]:
    """Events of a stream: each a JSON object, or a word such as [DONE]."""
    texts = (chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks)
    return [f"data: {text}\n\n".encode() for text in texts]


def stream(*deltas: Mapping[str, Any], ends: bool = True, **more: Any) -> Reply:
    """Events with these deltas; then finish_reason, usage and [DONE], unless it breaks off."""
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if ends:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
        chunks.append("[DONE]")
    return Reply(chunks=events(*chunks), content_type=EVENT_STREAM, breaks_off=not ends, **more)


@dataclass(frozen=True)
class Server:
    """What a server says; its functions are called in the event loop and must not wait."""

    reply: Callable[[bytes, Mapping[str, str]], Reply]
    """Of a request's body and headers."""
    pages: Callable[[str], bytes | None] = lambda path: None
    """What is at a path for GET; None is HTTP 404."""
    hung_up: Callable[[], None] = lambda: None
    """A client went away before it had its answer."""


@asynccontextmanager
async def serve_replies(server: Server, port: int = 0) -> AsyncIterator[int]:
    """Serve on 127.0.0.1; the port, which is free where none is asked for."""

    async def get(request: web.Request) -> web.Response:
        page = server.pages(request.path)
        return web.Response(body=page or b"", status=404 if page is None else 200)

    async def post(request: web.Request) -> web.StreamResponse:
        arrived = time.monotonic()
        reply = server.reply(await request.read(), request.headers)
        try:
            return await _write(request, reply, arrived + reply.after_s)
        except ConnectionError:
            server.hung_up()
            raise

    app = web.Application(client_max_size=2**24)
    app.add_routes([web.get("/{path:.*}", get), web.post("/v1/chat/completions", post)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", port), backlog=512)
    try:
        await web.SockSite(runner, listening, backlog=512).start()
        yield listening.getsockname()[1]
    finally:
        # asyncio leaks a connection that is accepted and not yet made when its server closes
        asyncio.get_running_loop().remove_reader(listening)
        await asyncio.sleep(0)
        for connection in list(runner.server.connections) if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()  # one that can't send its rest would stay open
        await runner.cleanup()


async def _write(request: web.Request, reply: Reply, due: float) -> web.StreamResponse:
    """`due` is when the first chunk goes out, in monotonic seconds."""
    response = web.StreamResponse(status=reply.status)
    response.content_type = reply.content_type
    if reply.content_type != EVENT_STREAM:
        response.content_length = sum(map(len, reply.chunks)) + reply.breaks_off
    await _sleep_until(due)
    await response.prepare(request)
    for number, chunk in enumerate(reply.chunks):
        await _sleep_until(due + number * reply.gap_s)
        await response.write(chunk)
    if reply.breaks_off and request.transport is not None:
        request.transport.close()
    return response


async def _sleep_until(due: float) -> None:
    if due > time.monotonic():
        await asyncio.sleep(due - time.monotonic())


@dataclass
class FakeModelServer:
    """Answers requests of agents by `script`, then by `otherwise`; probes by `probe`.

    It serves from its start on; a `with` stops it in the end.
    """

    script: list[Reply] = field(default_factory=list)
    otherwise: Callable[[], Reply] = completion
    probe: Callable[[], Reply] = completion
    metrics: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    """What GET finds at other paths."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of agents' requests."""
    headers: list[dict[str, str]] = field(default_factory=list)
    probes: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)
    """A client went away before it had its answer."""
    port: int = 0

    def __post_init__(self) -> None:
        self.start_again()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start_again(self) -> None:
        """At the same port as before."""
        ready = threading.Event()
        serving = self._serve(ready)
        self._thread = threading.Thread(target=asyncio.run, args=(serving,), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the fake model server did not start"

    def stop(self) -> None:
        """Close the port and all connections, also those that wait for an answer."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self._reply, self._page, self.hung_up.set)
        async with serve_replies(server, self.port) as self.port:
            ready.set()
            await self._stopped.wait()

    def _reply(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        question = json.loads(body)
        if "messages" not in question:
            return error(400, "messages: Field required")
        if question["messages"] == [{"role": "user", "content": "ping"}]:
            self.probes += 1
            return self.probe()
        self.asked.append(question)
        self.headers.append(dict(headers))
        return self.script.pop(0) if self.script else self.otherwise()

    def _page(self, path: str) -> bytes | None:
        pages = {"/metrics": self.metrics, "/v1/models": '{"data": []}', **self.pages}
        return pages.get(path, "").encode() or None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
