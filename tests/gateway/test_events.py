"""Server-sent events, as model servers stream them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.endpoint.answers import read_json
from orchestrator.gateway.events import (
    after_comments,
    event_data,
    is_event,
    split_events,
    stream_error,
)


def split(*chunks: bytes) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[bytes]:
        return [event async for event in split_events(stream())]

    return asyncio.run(collect())


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: 1\n\ndata: 2\n\n"],
        [b"data: 1\r\n\r\ndata: 2\r\n\r\n"],
        [b"data: 1\n", b"\ndata: 2", b"\n\n"],
        [b"data: 1\r", b"\n", b"\r", b"\ndata: 2"],
        [b"\n\n\n\ndata: 1\n\n\n\ndata: 2\n\n"],
        [bytes([byte]) for byte in b"data: 1\n\ndata: 2\n\n"],
    ],
)
def test_events_are_split_at_blank_lines_however_they_come(chunks: list[bytes]) -> None:
    assert [read_json(event_data(event))[0] for event in split(*chunks)] == [1, 2]


@given(st.lists(st.binary(min_size=1), max_size=8), st.data())
def test_how_a_stream_is_cut_makes_no_difference(bodies: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(b"data: " + body.replace(b"\n", b"x") + b"\n\n" for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert split(*pieces) == split(whole)


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.gateway.events.MAX_EVENT_BYTES", 2**20)

    with pytest.raises(ValueError, match="an event of over 1 MB"):
        split(*[b"x" * 1000] * 2000)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (b"data: 1\n\n", True),
        (b"\xef\xbb\xbfdata: 1\n\n", True),
        (b": ping\ndata: 1\n\n", True),
        (b"id: 7\nevent: x\ndata: 1\n\n", True),
        (b"error: {}\n\n", True),
        (b": ping\n\n", False),
        (b"<html>", False),
        (b'{"choices": []}', False),
        (b"", False),
    ],
)
def test_events_are_told_from_pages(event: bytes, expected: bool) -> None:
    assert is_event(event) is expected


@pytest.mark.parametrize("comments", [b"", b": ping\n\n", b": a\n\n:\n\nretry: 3\n\nid: 1\n\n"])
def test_what_comes_before_the_first_event_is_passed_over(comments: bytes) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for event in events:
            yield event

    events = split(comments + b"data: 1\n\n")
    assert asyncio.run(after_comments(stream())) == b"data: 1\n\n"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b'data: {"error": {"message": "dead"}}', "dead"),
        (b'data: {"error": "dead"}', "dead"),
        (b'error: {"message": "dead", "code": 500}', "dead"),
        (b'event: error\ndata: {"message": "dead"}', "dead"),
        (b'data: {"object": "error", "message": "dead"}', "dead"),
        (b'data: {"error": {"message": "dead"}, "choices": [{"finish_reason": "error"}]}', "dead"),
        (b'data: {"error": null, "choices": []}', None),
        (b'data: {"choices": [{"delta": {"content": "\\"error\\": x"}}]}', None),
        (b"data: error", None),
        (b"data: [DONE]", None),
        (b"error: the plain word", None),
    ],
)
def test_an_error_is_found_in_every_form(event: bytes, message: str | None) -> None:
    found = stream_error(event + b"\n\n")

    said = None if found is None else json.loads(found)["error"]
    assert (said["message"] if isinstance(said, dict) else said) == message
