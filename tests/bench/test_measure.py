"""The bench's traffic, and what it measures of the scripted endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import aiohttp
import pytest
from support.fake_model import EVENT_STREAM, FakeModelServer, Reply, events

from orchestrator.bench.conversations import Conversation, code_text, shape_for
from orchestrator.bench.measure import NoAnswer, StreamedAnswer, Tick, TooBusy, ask, measure_level
from orchestrator.bench.target import Target, metrics_url, request_fields, require_target
from orchestrator.config.schema import Endpoint, Model, Sampling
from orchestrator.endpoint.fields import Tokens
from orchestrator.errors import PrerequisiteError
from orchestrator.scripted.endpoint import ScriptedEndpoint


def model(base_url: str, **more: Any) -> Model:
    endpoint = Endpoint(base_url=base_url, request_timeout_s=10)
    return Model(name="m", served_name="scripted", endpoint=endpoint, **more)


@pytest.fixture
def serve() -> Iterator[Callable[[str], ScriptedEndpoint]]:
    """Starts scripted endpoints that play a persona: `serve("solves")`."""
    started: list[ScriptedEndpoint] = []

    def start(persona: str) -> ScriptedEndpoint:
        started.append(ScriptedEndpoint((), {}, {"default": persona}, delay_s=0.005))
        return started[-1].__enter__()

    yield start
    for endpoint in started:
        endpoint.__exit__(None, None, None)


def target_at(base_url: str, context: int = 4096) -> Target:
    fields = request_fields(model(base_url), fixed_lengths=False)
    return Target(base_url, {}, fields, 10, shape_for(context, 40), 3.0, False, None)


def converse(session: str, nonce: str, context: int = 4096, age: int = 0) -> Conversation:
    return Conversation(shape_for(context, 40), Random(nonce), 4.0, session, nonce, age)


@pytest.mark.parametrize("context", [2048, 4096, 32768, 131072])
def test_a_conversation_fits_into_its_context_and_ends(context: int) -> None:
    shape = shape_for(context, 40)
    conversation = converse("s", "n", context)
    steps = 0
    while not conversation.is_over:
        steps += 1
        prompt = sum(len(message["content"]) for message in conversation.messages) // 4
        said = conversation.answer_tokens()
        assert prompt + said <= context
        conversation.add("x" * 4 * said, prompt + said)

    assert 0.5 * shape.expected_steps <= steps <= 40
    assert steps >= 3


def test_agents_share_the_system_prompt_and_nothing_more() -> None:
    one, other = converse("s", "a").messages, converse("s", "b").messages

    assert one[0] == other[0]
    assert one[1]["content"][:10] != other[1]["content"][:10]


def test_levels_share_nothing() -> None:
    one, other = (converse(session, "a").messages[0]["content"] for session in "st")

    assert one[:10] != other[:10]


def test_an_aged_conversation_has_a_past_and_room_for_a_step() -> None:
    young, old = converse("s", "a", age=2), converse("s", "a", age=99)

    assert [m["role"] for m in young.messages[2:]] == ["assistant", "user"] * 2
    assert len(old.messages) > len(young.messages)
    assert not old.is_over


def test_text_has_the_length_that_was_asked_for() -> None:
    assert [len(code_text(Random(1), n)) for n in (0, 7, 5000)] == [0, 7, 5000]


def test_requests_are_the_profiles_but_for_the_length() -> None:
    fields = request_fields(
        model(
            "http://x/v1",
            sampling=Sampling(temperature=0.6, max_tokens=8192),
            request_fields={"chat_template_kwargs": {"enable_thinking": False}, "max_tokens": 9},
        ),
        fixed_lengths=True,
    )

    assert fields == {
        "model": "scripted",
        "temperature": 0.6,
        "chat_template_kwargs": {"enable_thinking": False},
        "ignore_eos": True,
    }


def test_metrics_lie_at_the_servers_root() -> None:
    assert metrics_url("http://h:8000/v1/") == "http://h:8000/metrics"
    assert metrics_url("http://h:8000/openai") == "http://h:8000/openai/metrics"


def test_a_server_is_looked_at_before_it_is_measured(
    serve: Callable[[str], ScriptedEndpoint],
) -> None:
    target = require_target(model(serve("solves").base_url, context_length=16384), "", 30)

    assert target.shape.context == 16384, "the smaller of the server's and the profile's"
    assert target.shape.steps == 30
    assert 3 < target.chars_per_token < 5
    assert (target.fixed_lengths, target.metrics) == (False, None)


def test_a_server_that_lists_models_and_answers_nothing_is_a_prerequisite(
    serve: Callable[[str], ScriptedEndpoint],
) -> None:
    with pytest.raises(PrerequisiteError, match="HTTP 500"):
        require_target(model(serve("errors:1e9").base_url), "", 30)


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


def test_broken_connections_are_counted_and_tried_again(
    serve: Callable[[str], ScriptedEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.bench.measure.FIRST_DELAY_S", 0.01)
    target = target_at(serve("hangs_up:3").base_url)

    level = measure_level(target, 2, seconds=0.4, pause_s=0.01)

    assert level.counted
    # the endpoint counts tries by turn, not by agent: only the first of every turn are hung up on
    assert set(level.errors) <= {"ServerDisconnectedError"}


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
