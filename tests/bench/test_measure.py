"""What the bench measures of the scripted endpoint, and what it takes for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest
from support.fake_model import EVENT_STREAM, FakeModelServer, Reply, events

from orchestrator.bench.conversations import shape_for
from orchestrator.bench.measure import NoAnswer, StreamedAnswer, Tick, TooBusy, ask, measure_level
from orchestrator.bench.target import Target
from orchestrator.endpoint.fields import Tokens
from orchestrator.scripted.endpoint import ScriptedEndpoint


def target_at(base_url: str, context: int = 4096) -> Target:
    fields = {"model": "scripted"}
    return Target(base_url, {}, fields, 10, shape_for(context, 40), 3.0, False, None)


@pytest.mark.slow
def test_a_level_is_measured(serve: Callable[[str], ScriptedEndpoint]) -> None:
    ticks: list[Tick] = []

    level = measure_level(
        target_at(serve("solves").base_url), 3, seconds=0.4, pause_s=0.01, on_tick=ticks.append
    )

    assert level.warm
    assert level.seconds == pytest.approx(0.4, abs=0.2)
    assert len(level.counted) > 10
    assert level.generated_per_s is not None
    assert level.generated_per_s > 100
    assert level.errors == {}
    assert level.preemptions is None, "the scripted endpoint has no metrics"
    assert all(a.sent_s < a.first_token_s <= a.ended_s for a in level.answers)
    assert ticks[-1].warm
    assert ticks[-1].at_once == 3


@pytest.mark.slow
def test_broken_connections_are_counted_and_tried_again(
    serve: Callable[[str], ScriptedEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.bench.measure.FIRST_DELAY_S", 0.01)
    target = target_at(serve("hangs_up:3").base_url)

    level = measure_level(target, 2, seconds=0.4, pause_s=0.01)

    assert level.counted
    # the endpoint counts tries by turn, not by agent: only the first of every turn are hung up on
    assert set(level.errors) <= {"it hung up without an answer"}


@pytest.mark.slow
def test_a_level_without_an_answer_ends_early_and_measures_nothing(
    serve: Callable[[str], ScriptedEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.bench.measure.FIRST_DELAY_S", 0.01)

    level = measure_level(target_at(serve("errors:1e9").base_url), 4, seconds=60, pause_s=0.01)

    assert level.generated_per_s is None
    assert level.errors_dominate
    assert level.errors["HTTP 500"] >= 10
    assert level.seconds < 5


def delta(**said: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said}]}


USAGE: dict[str, Any] = {
    "choices": [],
    "usage": {
        "prompt_tokens": 90,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 64},
    },
}
BUSY = {"error": {"message": "The engine is currently busy", "code": 503}}


def ask_for(status: int, chunks: Sequence[bytes]) -> StreamedAnswer:
    """What `ask` makes of an answer."""

    async def play(base_url: str) -> StreamedAnswer:
        async with aiohttp.ClientSession() as session:
            return await ask(session, target_at(base_url), [], 5)

    reply = Reply(status, chunks, EVENT_STREAM)
    with FakeModelServer(otherwise=lambda: reply) as server:
        return asyncio.run(play(server.base_url))


def test_an_answer_is_read_with_its_usage() -> None:
    reply = ask_for(
        200,
        events(delta(role="assistant"), delta(reasoning="a"), delta(content="b"), USAGE, "[DONE]"),
    )

    assert reply.text == "ab"
    assert reply.tokens == Tokens(90, 7, 64)
    assert reply.sent <= reply.first_token <= reply.ended


@pytest.mark.parametrize(
    ("status", "chunks"), [(503, []), (429, []), (200, events(BUSY, "[DONE]"))]
)
def test_a_server_that_is_too_busy_says_so_by_status_or_within_the_stream(
    status: int, chunks: Sequence[bytes]
) -> None:
    with pytest.raises(TooBusy):
        ask_for(status, chunks)


NO_ANSWERS = {
    "HTTP 500": (500, [b"boom"]),
    "error 500 within": (200, events({"error": {"code": 500}}, "[DONE]")),
    "no usage": (200, events(delta(content="a"), "[DONE]")),
    "not a chat completion": (200, [b"data: <html>\n\n"]),
}


@pytest.mark.parametrize("says", NO_ANSWERS)
def test_what_is_no_whole_answer_is_none(says: str) -> None:
    with pytest.raises(NoAnswer, match=says):
        ask_for(*NO_ANSWERS[says])
