"""Limits for a whole answer: httpx's own are for each piece of one, and would never end one that
comes a byte a second. The name server is within the limit too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx

MAX_BYTES = 64 * 2**20


class AnswerTooLarge(httpx.TransportError):
    """More than anybody reads."""


class WholeAnswers(httpx.BaseTransport):
    """Gives an answer up that is not there as a whole after the time to connect and to read.

    In that time it raises httpx.ReadTimeout, as for a server that is silent.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        limits = request.extensions.get("timeout", {})
        if limits.get("read") is None:
            return self._transport.handle_request(request)
        until = time.monotonic() + limits["read"] + (limits.get("connect") or 0.0)
        reply = self._begin(request, until)
        assert isinstance(reply.stream, httpx.SyncByteStream)
        return httpx.Response(
            reply.status_code,
            headers=reply.headers,
            stream=_Body(reply.stream, until),
            extensions=reply.extensions,
        )

    def _begin(self, request: httpx.Request, until: float) -> httpx.Response:
        """The answer's head. Nothing but a thread of its own can be left when it is too late."""
        came: list[httpx.Response] = []
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                came.append(self._transport.handle_request(request))
            except BaseException as error:  # noqa: BLE001 - raised again by who waits
                raised.append(error)

        thread = threading.Thread(target=ask, daemon=True, name="request")
        thread.start()
        thread.join(max(until - time.monotonic(), 0.0))
        if raised:
            raise raised[0]
        if not came:
            raise httpx.ReadTimeout("the answer's head did not come in time")
        return came[0]

    def close(self) -> None:
        self._transport.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if size > MAX_BYTES:
                raise AnswerTooLarge(f"more than {MAX_BYTES >> 20} MB in answer to one question")
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer did not end in time")
            yield piece

    def close(self) -> None:
        self._stream.close()
