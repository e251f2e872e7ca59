"""Server-sent events, as model servers stream them (the WHATWG's specification, and what comes)."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator

from orchestrator.endpoint.answers import read_json

MAX_EVENT_BYTES = 64 * 2**20
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def stream_error(event: bytes) -> bytes | None:
    """The body of an event that carries an error, as vLLM sends when its engine dies.

    Servers send it as `data: {"error": …}`, with `event: error` before it, as vLLM's older flat
    object, or (llama.cpp of 2024) as `error: {…}`.
    """
    if b"error" not in event:
        return None
    fields = _fields(event)
    data, _ = read_json(fields.get(b"error") or fields.get(b"data", b""))
    if not isinstance(data, dict):
        return None
    is_flat = data.get("object") == "error" or b"error" in (fields.get(b"event"), *fields)
    if data.get("error"):
        return json.dumps({"error": data["error"]}).encode()
    return json.dumps({"error": data}).encode() if is_flat else None


def event_data(event: bytes) -> bytes:
    """What stands behind `data:`; empty for comments."""
    return _fields(event).get(b"data", b"")


def _fields(event: bytes) -> dict[bytes, bytes]:
    """An event's fields by name, lines of one name joined; comments have the empty name."""
    fields: dict[bytes, bytes] = {}
    for line in event.removeprefix(codecs.BOM_UTF8).splitlines():
        name, colon, value = line.partition(b":")
        if colon:
            earlier = fields.get(name)
            value = value.strip()
            fields[name] = value if earlier is None else earlier + b"\n" + value
    return fields


def is_event(event: bytes) -> bool:
    """Whether it says something, and is no page or comment."""
    return any(name in (b"data", b"event", b"error") for name in _fields(event))


async def split_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Events, each with its closing blank line. Raises ValueError where one does not end."""
    rest = bytearray()
    async for chunk in chunks:
        looked_at = max(0, len(rest) - 3)
        rest += chunk
        while (found := _BLANK_LINE.search(rest, looked_at)) is not None:
            event = bytes(rest[: found.start()])
            del rest[: found.end()]
            looked_at = 0
            if event.strip():
                yield event + b"\n\n"
        if len(rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event of over {MAX_EVENT_BYTES >> 20} MB")
    if rest.strip():
        yield bytes(rest) + b"\n\n"


async def after_comments(events: AsyncIterator[bytes]) -> bytes:
    """The first event that is more than a comment, which keeps a connection open; or nothing."""
    async for event in events:
        if not set(_fields(event)) <= {b"", b"id", b"retry"} or not _fields(event):
            return event
    return b""


async def chain(first: bytes, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """An event that was read already, and those after it."""
    yield first
    async for event in events:
        yield event
