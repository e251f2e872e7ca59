"""Streams as they pass the gateway: what is read off them, and how thoughts are taken out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_model import completion, events

from orchestrator.endpoint.fields import Tokens
from orchestrator.gateway.replies import AgentReply, StreamTally, make_reply
from orchestrator.gateway.upstreams import answer_of
from orchestrator.types import RequestResult

USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}


def delta(finish_reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish_reason}]}


def passed(tally: StreamTally, *chunks: Mapping[str, Any] | str) -> list[bytes]:
    return [tally.take(event) for event in events(*chunks)]


def reply(content: Any, strip: bool = False, **more: Any) -> AgentReply:
    """What an agent gets of a whole answer."""
    return make_reply(answer_of(200, completion(content, **more).chunks[0]), strip)


def whole(content: Any, strip: bool) -> str:
    found = json.loads(reply(content, strip).body)["choices"][0]["message"]["content"]
    assert isinstance(found, str)
    return found


def contents(*pieces: str, strip: bool = True) -> str:
    """The content that an agent gets of a stream."""
    tally = StreamTally(strip, usage_was_asked=False)
    chunks = [*(delta(content=piece) for piece in pieces), delta("stop")]
    got = [json.loads(event[6:]) for event in passed(tally, *chunks)]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in got)


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
        (["hm", "m</thi", "nk>", "\n\nx", "y"], "xy"),
        (["<think>hm", " and ", "hm"], ""),
        (["<|chan", "nel>thought\nhm<chan", "nel|>x"], "x"),
    ],
)
def test_thoughts_are_taken_out_however_they_are_cut(pieces: list[str], left: str) -> None:
    assert contents(*pieces) == left
    assert whole("".join(pieces), strip=True) == left


CUTS = st.lists(st.sampled_from(["<think>", "</think>", "<thi", "nk>", "</", "x", "\ud83d", "\n"]))


@pytest.mark.fuzz
@given(CUTS | st.lists(st.text(st.characters(), max_size=4)), st.booleans())
def test_a_stream_says_what_the_whole_answer_says(pieces: list[str], strip: bool) -> None:
    assert contents(*pieces, strip=strip) == whole("".join(pieces), strip)


def test_each_choice_of_a_stream_has_its_own_thoughts() -> None:
    tally = StreamTally(strip=True, usage_was_asked=False)
    said = [(0, "<think>a"), (1, "b</think>y"), (0, "</think>x")]
    chunks = [{"choices": [{"index": i, "delta": {"content": c}}]} for i, c in said]
    chunks += [{"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in (0, 1)]

    got = [json.loads(event[6:])["choices"][0] for event in passed(tally, *chunks)]

    assert [(c["index"], c["delta"]["content"]) for c in got][-2:] == [(0, "x"), (1, "y")]


@pytest.mark.parametrize(
    "content", ["<think>a command that never", "hm</think>", "<think></think> "]
)
def test_an_answer_of_thoughts_alone_is_swallowed(content: str) -> None:
    tally = StreamTally(strip=True, usage_was_asked=True)
    passed(tally, delta(content=content), delta("length"))

    assert tally.result is RequestResult.SWALLOWED
    assert reply(content, strip=True).result is RequestResult.SWALLOWED
    assert reply(content).result is RequestResult.ANSWERED, "the agent sees it"


@pytest.mark.parametrize("content", ["an answer", "😀 größer", None])
def test_an_answer_in_form_goes_on_byte_by_byte(content: str | None) -> None:
    (raw,) = completion(content).chunks

    assert reply(content, strip=True).body == raw


@pytest.mark.parametrize("raw", [b'"gr\xfc\xdfe"', b'"a\tb\nc"', b'"a\x01"', b'"\xed\xa0\xbd"'])
def test_an_answer_that_strict_parsers_refuse_is_written_anew(raw: bytes) -> None:
    (given,) = completion("CONTENT").chunks
    answer = answer_of(200, given.replace(b'"CONTENT"', raw))

    found = json.loads(make_reply(answer, strip=False).body.decode("utf-8"))

    assert found["choices"][0]["message"]["content"].encode()


def test_an_event_that_strict_parsers_refuse_is_written_anew() -> None:
    (event,) = events(delta(content="CONTENT"))
    tally = StreamTally(strip=False, usage_was_asked=True)

    got = tally.take(event.replace(b"CONTENT", b"a\tgr\xfc\xdfe"))

    assert json.loads(got[6:]) == delta(content="a\tgr\ufffd\ufffde")


@pytest.mark.slow
def test_an_answer_of_ten_megabytes_goes_through() -> None:
    assert len(whole("<think>" + "x" * 10_000_000 + "</think>\ud83d" + "y" * 100, True)) == 101
    assert len(contents(*["<think>" + "x" * 40] * 50_000, "</think>y")) == 1


@pytest.mark.parametrize("junk", [b": ping\n\n", b"data: 7\n\n", b'data: {"choices": 7}\n\n'])
def test_what_is_no_chunk_passes_as_it_is(junk: bytes) -> None:
    assert StreamTally(strip=True, usage_was_asked=False).take(junk) == junk
