"""Streams as they pass the gateway: what is read off them, and how thoughts are taken out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.fake_model import events

from orchestrator.endpoint.fields import Tokens
from orchestrator.gateway.replies import StreamTally
from orchestrator.types import RequestResult

USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}


def delta(finish_reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish_reason}]}


def passed(tally: StreamTally, *chunks: Mapping[str, Any] | str) -> list[bytes]:
    return [tally.take(event) for event in events(*chunks)]


def contents(*pieces: str) -> str:
    """The content that an agent gets of a stream that is stripped."""
    tally = StreamTally(strip=True, usage_was_asked=False)
    got = [json.loads(e[6:]) for e in passed(tally, *(delta(content=p) for p in pieces))]
    return "".join(chunk["choices"][0]["delta"]["content"] for chunk in got)


def test_a_stream_passes_unchanged_and_is_counted() -> None:
    tally = StreamTally(strip=False, usage_was_asked=True)
    chunks = [delta(role="assistant"), delta(content="x"), delta("stop"), USAGE, "[DONE]"]

    assert passed(tally, *chunks) == events(*chunks)
    assert tally.tokens == Tokens(9, 4)
    assert tally.finished
    assert tally.first_token_at is not None
    assert tally.result is RequestResult.ANSWERED


def test_a_usage_that_the_agent_did_not_ask_for_is_kept_from_it() -> None:
    tally = StreamTally(strip=False, usage_was_asked=False)

    assert passed(tally, USAGE) == [b""]
    assert tally.tokens == Tokens(9, 4)


def test_a_stream_without_a_finish_reason_is_not_finished() -> None:
    tally = StreamTally(strip=False, usage_was_asked=True)
    passed(tally, delta(content="x"), delta("abort"), "[DONE]")

    assert not tally.finished


def test_a_stream_of_reasoning_alone_is_swallowed() -> None:
    tally = StreamTally(strip=False, usage_was_asked=True)
    passed(tally, delta(reasoning="hm"), delta("stop"))

    assert tally.result is RequestResult.SWALLOWED
    assert tally.first_token_at is not None, "thought takes time as well"


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        (["<think>", "hm", "</think>", "x"], "x"),
        (["<th", "ink>hm</thi", "nk>\n\nx", "y"], "xy"),
        (["<b>", "x"], "<b>x"),
        (["<", "x"], "<x"),
        (["x", "<think>y</think>"], "x<think>y</think>"),
    ],
)
def test_a_leading_thought_is_taken_out_however_it_is_cut(pieces: list[str], left: str) -> None:
    assert contents(*pieces) == left


@pytest.mark.parametrize("junk", [b": ping\n\n", b"data: 7\n\n", b'data: {"choices": 7}\n\n'])
def test_what_is_no_chunk_passes_as_it_is(junk: bytes) -> None:
    assert StreamTally(strip=True, usage_was_asked=False).take(junk) == junk
