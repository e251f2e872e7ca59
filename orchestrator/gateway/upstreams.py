"""One attempt at a model server, and what can be asked of it besides. Decides nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from orchestrator.config.schema import Model
from orchestrator.connections import network_errors, open_session, problem_words, way_to
from orchestrator.endpoint.fields import TOO_BUSY, error_text, is_completion, with_profile
from orchestrator.endpoint.metrics import ServerMetrics, metrics_url, parse_metrics

CONNECT_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 20.0
METRICS_TIMEOUT_S = 5.0
KEEP_CONNECTION_S = 4.0
"""Under the 5 s after which uvicorn, vLLM's server, closes an idle connection."""
DEAD_PEER_S = 30
"""A connection without traffic is probed by TCP after so long, so that a host that lost its power
is noticed before the answer's own timeout."""


class Lost(Exception):
    """The attempt came to nothing: refused, reset, timed out, 5xx, or no completion."""


class Busy(Exception):
    """The server turns requests away for now (429, 503)."""


@dataclass(frozen=True)
class UpstreamAnswer:
    """A server's last word on a request: a completion, or a 4xx."""

    status: int
    body: bytes
    data: Any
    """The body, parsed; None where it is no JSON."""


class EventStream:
    """A streamed answer whose first event is there already."""

    def __init__(
        self, response: aiohttp.ClientResponse, events: AsyncIterator[bytes], way: str
    ) -> None:
        """`way` stands behind problems: which proxy they came through."""
        self._response = response
        self._events = events
        self._way = way

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events, each with its closing blank line. Raises Lost where it breaks off."""
        with _network_errors_as_lost(self._way):
            async for event in self._events:
                yield event

    def close(self) -> None:
        self._response.close()


class Upstreams:
    """The model servers. Use it as an asynchronous context manager."""

    def __init__(self, model: Model, api_key: str = "") -> None:
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._ways = {url: way_to(url) for url in model.endpoint.base_urls}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        """One a server, as each may be behind another proxy."""

    async def __aenter__(self) -> Self:
        settings = {
            "limit": 0,
            "keepalive_timeout": KEEP_CONNECTION_S,
            "socket_factory": _socket,
        }
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=CONNECT_TIMEOUT_S,
            sock_read=self._model.endpoint.request_timeout_s,
        )
        for url in self._ways:
            self._sessions[url] = open_session(
                url, settings, timeout=timeout, headers=self._headers
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()

    async def ask(self, url: str, body: bytes) -> UpstreamAnswer:
        """One chat completion. Raises Lost or Busy."""
        with _network_errors_as_lost(self._ways[url]):
            async with await self._post(url, data=body) as response:
                raw = await response.read()
                return _answer(response.status, raw)

    async def stream(self, url: str, body: bytes) -> EventStream | UpstreamAnswer:
        """One streamed chat completion, or the 4xx in its place. Raises Lost or Busy.

        Before the first event has come, nothing was sent to the agent: an attempt that fails by
        then is lost, and the request can be tried again.
        """
        with _network_errors_as_lost(self._ways[url]):
            response = await self._post(url, data=body)
            try:
                if response.status != 200:
                    return _answer(response.status, await response.read())
                events = _split_events(response.content.iter_any())
                first = await anext(events, b"")
                if not first.startswith((b"data:", b":", b"event:")):
                    raise Lost("the answer is no stream of events")
                if (problem := stream_error(first)) is not None:
                    raise (Busy if _is_busy(first) else Lost)(problem)
            except BaseException:
                response.close()
                raise
        return EventStream(response, _chain(first, events), self._ways[url])

    async def probe(self, url: str) -> str:
        """Ask for one real token; what is wrong, or an empty string.

        A vLLM server whose engine hangs still answers /health, so nothing less will do.
        """
        body = with_profile(self._model, {"messages": [{"role": "user", "content": "ping"}]})
        body["max_tokens"] = max(1, body.get("min_tokens") or 1)
        body.pop("max_completion_tokens", None)
        try:
            timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
            async with await self._post(url, json=body, timeout=timeout) as response:
                problem = _probe_problem(response.status, await response.read())
        except network_errors(ValueError) as error:
            problem = problem_words(error)
        return problem + self._ways[url] if problem else ""

    async def metrics(self, url: str) -> ServerMetrics | None:
        """What the server's /metrics say; None where it has none of vLLM's, or does not answer."""
        timeout = aiohttp.ClientTimeout(total=METRICS_TIMEOUT_S)
        try:
            async with self._sessions[url].get(metrics_url(url), timeout=timeout) as response:
                text = await response.text()
                return parse_metrics(text) if response.status == 200 else None
        except network_errors(ValueError):
            return None

    async def models(self, url: str) -> UpstreamAnswer:
        """`GET /v1/models`. Raises Lost."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        with _network_errors_as_lost(self._ways[url]):
            async with self._sessions[url].get(f"{url}/models", timeout=timeout) as response:
                return UpstreamAnswer(response.status, await response.read(), None)

    async def _post(self, url: str, **request: Any) -> aiohttp.ClientResponse:
        target = f"{url}/chat/completions"
        # a redirected POST would go on as a GET
        return await self._sessions[url].post(target, allow_redirects=False, **request)


def stream_error(event: bytes) -> str | None:
    """The words of an event that carries an error, as vLLM sends when its engine dies."""
    if b'"error"' not in event:
        return None
    data = read_event(event)
    if not isinstance(data, dict) or "error" not in data or "choices" in data:
        return None
    return error_text(data)


def _is_busy(event: bytes) -> bool:
    """Whether an error's event says so: vLLM's full queue answers a stream with 200, and this."""
    error = read_event(event)["error"]
    return isinstance(error, dict) and error.get("code") in TOO_BUSY


def read_event(event: bytes) -> Any:
    """The JSON of a `data:` event; None for `[DONE]`, comments and what is no JSON."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return _parse(b"\n".join(lines)) if lines else None


def _probe_problem(status: int, raw: bytes) -> str:
    if status == 200:
        return "" if is_completion(_parse(raw)) else "the answer is not a chat completion"
    return f"HTTP {status}"


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _answer(status: int, raw: bytes) -> UpstreamAnswer:
    data = _parse(raw)
    if status in TOO_BUSY:
        raise Busy(f"HTTP {status}: {error_text(data)[:200]}")
    if status != 200 and (status == 408 or not 400 <= status < 500):
        raise Lost(f"HTTP {status}: {error_text(data)[:200]}")
    if status == 200 and not is_completion(data):
        raise Lost("the answer is not a whole chat completion")
    return UpstreamAnswer(status, raw, data)


async def _split_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *events, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            yield event + b"\n\n"
    if rest.strip():
        yield rest + b"\n\n"


async def _chain(first: bytes, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in events:
        yield event


@contextlib.contextmanager
def _network_errors_as_lost(way: str) -> Iterator[None]:
    """Errors of the network as Lost; behind every problem stands the way to the server."""
    try:
        yield
    except network_errors() as error:
        raise Lost(problem_words(error) + way) from error
    except (Lost, Busy) as error:
        raise type(error)(f"{error}{way}") from error


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
    for name, value in ((idle, DEAD_PEER_S), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
