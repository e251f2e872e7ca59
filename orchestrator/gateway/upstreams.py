"""One attempt at a model server, and what can be asked of it besides. Decides nothing."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import aiohttp

from orchestrator.config.schema import Model
from orchestrator.endpoint.answers import read_json
from orchestrator.endpoint.fields import (
    TOO_BUSY,
    error_code,
    error_text,
    why_no_completion,
    with_profile,
)
from orchestrator.endpoint.metrics import ServerMetrics, metrics_url, parse_metrics
from orchestrator.endpoint.overflow import Said, said_to_be_too_long
from orchestrator.gateway.events import (
    after_comments,
    chain,
    is_event,
    split_events,
    stream_error,
)
from orchestrator.gateway.states import Probed
from orchestrator.network.connections import (
    Way,
    network_errors,
    no_connection,
    open_session,
    way_to,
)
from orchestrator.network.problems import answer_words

LARGE_BODY_BYTES = 2**20
CONNECT_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 20.0
METRICS_TIMEOUT_S = 5.0
KEEP_CONNECTION_S = 4.0
"""Under the 5 s after which uvicorn, vLLM's server, closes an idle connection."""
MAX_ANSWER_BYTES = 64 * 2**20
DEAD_PEER_S = 30
"""A connection without traffic is probed by TCP after so long, so that a host that lost its power
is noticed before the answer's own timeout."""


@dataclass(frozen=True)
class UpstreamAnswer:
    """A server's word on a request: a completion, or an error."""

    status: int
    """HTTP's, or the error's own where it came under HTTP 200."""
    body: bytes
    data: Any
    """The body, parsed; None where it is no JSON."""

    @property
    def words(self) -> str:
        """Of an error."""
        return error_text(self._error)

    @property
    def says_too_long(self) -> Said:
        """Of an error: that the prompt is too long."""
        return said_to_be_too_long(self.status, self._error)

    @property
    def _error(self) -> Any:
        return self.data if self.data is not None else self.body.decode(errors="replace")


class _NoAnswer(Exception):
    def __init__(self, why: str, answer: UpstreamAnswer | None = None) -> None:
        super().__init__(why)
        self.answer = answer
        """The error that the server answered with, if it did."""


class Lost(_NoAnswer):
    """The attempt came to nothing: reset, timed out, 5xx, or no completion."""


class Unreachable(Lost):
    """Nothing listens there, or no connection can be made."""


class Busy(_NoAnswer):
    """The server turns requests away for now (429, 503)."""


class EventStream:
    """A streamed answer whose first event is there already."""

    def __init__(
        self, response: aiohttp.ClientResponse, events: AsyncIterator[bytes], way: Way
    ) -> None:
        """`way` leads to its server."""
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
        """One chat completion, or a refusal. Raises Lost or Busy."""
        with _network_errors_as_lost(self._ways[url]):
            async with await self._post(url, data=_payload(body)) as response:
                return await _answer_of(response)

    async def stream(self, url: str, body: bytes) -> EventStream | UpstreamAnswer:
        """One streamed chat completion, or a refusal in its place. Raises Lost or Busy.

        Before the first event has come, nothing was sent to the agent: an attempt that fails by
        then is lost, and the request can be tried again.
        """
        with _network_errors_as_lost(self._ways[url]):
            response = await self._post(url, data=_payload(body))
            try:
                if response.status != 200:
                    return await _answer_of(response)
                events = split_events(response.content.iter_any())
                first = await after_comments(events)
                if not is_event(first):
                    rest = b"".join([event async for event in events])
                    return answer_of(200, first + rest, "the answer is no stream of events")
                if (error := stream_error(first)) is not None:
                    response.close()
                    return answer_of(200, error)
            except BaseException:
                response.close()
                raise
        return EventStream(response, chain(first, events), self._ways[url])

    async def probe(self, url: str) -> Probed:
        """Ask for one real token.

        A vLLM server whose engine hangs still answers /health, so nothing less will do.
        """
        body = with_profile(self._model, {"messages": [{"role": "user", "content": "ping"}]})
        body["max_tokens"] = max(1, body.get("min_tokens") or 1)
        body.pop("max_completion_tokens", None)
        try:
            timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
            async with await self._post(url, json=body, timeout=timeout) as response:
                probed = _probed(response, await _read(response))
        except network_errors(Lost, ValueError) as error:
            is_late = isinstance(error, TimeoutError) and not isinstance(error, no_connection())
            probed = Probed(self._ways[url].problem(error).what, is_clear=not is_late)
        if not probed.problem:
            return probed
        return replace(probed, problem=f"{probed.problem}{self._ways[url]}")

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


def answer_of_error(body: bytes) -> UpstreamAnswer:
    """What an error within a stream says."""
    data, _ = read_json(body)
    return UpstreamAnswer(_own_status(data), body, data)


def answer_of(
    status: int, raw: bytes, otherwise: str = "", location: str | None = None
) -> UpstreamAnswer:
    """A completion or a refusal. Raises Lost or Busy, for errors that may pass.

    `otherwise` says what is wrong with an answer of HTTP 200 that is a completion, `location` where
    to another one redirects.
    """
    data, is_strict = read_json(raw)
    answer = UpstreamAnswer(status, raw if is_strict else json.dumps(data).encode(), data)
    why = answer_words(status, answer.words[:200], location)
    if status == 200:
        why = why_no_completion(answer.data) or otherwise
        if not why:
            return answer
        answer = replace(answer, status=_own_status(answer.data))
    if answer.says_too_long == "yes":
        return answer
    if answer.status in TOO_BUSY:
        raise Busy(why, answer)
    if answer.status == 408 or not 400 <= answer.status < 500:
        raise Lost(why, answer)
    return answer


def _own_status(data: Any) -> int:
    """Of an answer under HTTP 200 that is no completion: what its error says, or 502.

    LM Studio and some proxies send errors so, and vLLM in a stream where its queue is full.
    """
    code = error_code(data)
    return code if isinstance(code, int) and 400 <= code < 600 else 502


async def _answer_of(response: aiohttp.ClientResponse) -> UpstreamAnswer:
    where = response.headers.get("Location")
    return answer_of(response.status, await _read(response), location=where)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises Lost where it does not end."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Lost(f"an answer of over {MAX_ANSWER_BYTES >> 20} MB")
    return bytes(body)


@contextlib.contextmanager
def _network_errors_as_lost(way: Way) -> Iterator[None]:
    """Errors of the network as Lost; behind every problem stands the way to the server."""
    try:
        yield
    except no_connection() as error:
        raise Unreachable(f"{way.problem(error).what}{way}") from error
    except (Lost, Busy) as error:
        raise type(error)(f"{error}{way}", error.answer) from error
    except network_errors(ValueError) as error:  # ValueError: redirected to what is no address
        raise Lost(f"{way.problem(error).what}{way}") from error


def _probed(response: aiohttp.ClientResponse, raw: bytes) -> Probed:
    if response.status == 200:
        return Probed(why_no_completion(read_json(raw)[0]))
    words = answer_words(response.status, location=response.headers.get("Location"))
    return Probed(words, is_clear=response.status not in TOO_BUSY)


def _payload(body: bytes) -> bytes | io.BytesIO:
    """aiohttp warns of a large body that it is given at once."""
    return io.BytesIO(body) if len(body) > LARGE_BODY_BYTES else body


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
    for name, value in ((idle, DEAD_PEER_S), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
