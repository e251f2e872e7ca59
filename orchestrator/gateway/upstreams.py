"""One attempt at a model server, and what can be asked of it besides. Decides nothing."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from orchestrator.config.schema import Model
from orchestrator.endpoint.answers import read_json
from orchestrator.endpoint.fields import TOO_BUSY, error_text, is_completion, with_profile
from orchestrator.endpoint.metrics import ServerMetrics, metrics_url, parse_metrics
from orchestrator.errors import one_line

LARGE_BODY_BYTES = 2**20
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

    def __init__(self, response: aiohttp.ClientResponse, events: AsyncIterator[bytes]) -> None:
        self._response = response
        self._events = events

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events, each with its closing blank line. Raises Lost where it breaks off."""
        with _network_errors_as_lost():
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
        self._proxies = {url: _environments_proxy(url) for url in model.endpoint.base_urls}
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_CONNECTION_S, socket_factory=_socket
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=CONNECT_TIMEOUT_S,
                sock_read=self._model.endpoint.request_timeout_s,
            ),
            headers=self._headers,
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, url: str, body: bytes) -> UpstreamAnswer:
        """One chat completion. Raises Lost or Busy."""
        with _network_errors_as_lost():
            async with await self._post(url, data=_payload(body)) as response:
                raw = await response.read()
                return _answer(response.status, raw)

    async def stream(self, url: str, body: bytes) -> EventStream | UpstreamAnswer:
        """One streamed chat completion, or the 4xx in its place. Raises Lost or Busy.

        Before the first event has come, nothing was sent to the agent: an attempt that fails by
        then is lost, and the request can be tried again.
        """
        with _network_errors_as_lost():
            response = await self._post(url, data=_payload(body))
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
        return EventStream(response, _chain(first, events))

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
                return _probe_problem(response.status, await response.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _error_words(error)

    async def metrics(self, url: str) -> ServerMetrics | None:
        """What the server's /metrics say; None where it has none of vLLM's, or does not answer."""
        timeout = aiohttp.ClientTimeout(total=METRICS_TIMEOUT_S)
        proxy = self._proxies[url]
        try:
            async with self._session.get(
                metrics_url(url), timeout=timeout, proxy=proxy
            ) as response:
                text = await response.text()
                return parse_metrics(text) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, ValueError):
            return None

    async def models(self, url: str) -> UpstreamAnswer:
        """`GET /v1/models`. Raises Lost."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        proxy = self._proxies[url]
        with _network_errors_as_lost():
            async with self._session.get(f"{url}/models", timeout=timeout, proxy=proxy) as response:
                return UpstreamAnswer(response.status, await response.read(), None)

    async def _post(self, url: str, **request: Any) -> aiohttp.ClientResponse:
        target = f"{url}/chat/completions"
        return await self._session.post(target, proxy=self._proxies[url], **request)


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
    return read_json(event_data(event))[0]


def event_data(event: bytes) -> bytes:
    """What stands behind `data:`; empty for comments."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def _probe_problem(status: int, raw: bytes) -> str:
    if status == 200:
        return "" if is_completion(read_json(raw)[0]) else "the answer is not a chat completion"
    return f"HTTP {status}"


def _answer(status: int, raw: bytes) -> UpstreamAnswer:
    data, is_strict = read_json(raw)
    if status in TOO_BUSY:
        raise Busy(f"HTTP {status}: {error_text(data)[:200]}")
    if status != 200 and (status == 408 or not 400 <= status < 500):
        raise Lost(f"HTTP {status}: {error_text(data)[:200]}")
    if status == 200 and not is_completion(data):
        raise Lost("the answer is not a whole chat completion")
    return UpstreamAnswer(status, raw if is_strict else json.dumps(data).encode(), data)


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
def _network_errors_as_lost() -> Iterator[None]:
    """aiohttp's errors of the network as Lost."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise Lost(_error_words(error)) from error


def _payload(body: bytes) -> bytes | io.BytesIO:
    """aiohttp warns of a large body that it is given at once."""
    return io.BytesIO(body) if len(body) > LARGE_BODY_BYTES else body


def _environments_proxy(url: str) -> str | None:
    """What HTTP_PROXY, NO_PROXY and their like say of a server.

    Looked up once: aiohttp's `trust_env` does so for every request, with ~/.netrc and two threads,
    and that takes longer than all else that the gateway does.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    known = getproxies()
    proxy = known.get(parts.scheme) or known.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _error_words(error: Exception) -> str:
    """`no answer in time`, or what the system says: `ClientConnectorError: Cannot connect …`."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {one_line(error, 160)}".removesuffix(": ")


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
    for name, value in ((idle, DEAD_PEER_S), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
