"""A prompt that no longer fits is known for what it is, whatever the server says and however."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.fake_model import EVENT_STREAM, Reply, completion, error, events, stream
from support.gateway_scene import Setup

from orchestrator.gateway.messages import Availability
from orchestrator.types import RequestResult

pytestmark = pytest.mark.slow

LIMIT = 6000
"""Characters of all messages that the server takes."""
FAST = {"max_tries": 2}


@pytest.fixture(autouse=True)
def no_waiting_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.gateway.policy.MAX_BUSY_S", 0.001)


FULL = "Context size has been exceeded."
Reject = Callable[[], Reply]


def under_200() -> Reply:
    return Reply(chunks=[json.dumps({"error": {"message": "no", "code": 500}}).encode()])


def in_a_stream() -> Reply:
    return Reply(chunks=events({"error": {"message": "no"}}), content_type=EVENT_STREAM)


ODD_WAYS: dict[str, Reject] = {
    "400 in unknown words": lambda: error(400, "das passt nicht"),
    "413 of a proxy": lambda: Reply(413, [b"<html>"], content_type="text/html"),
    "422": lambda: error(422, "unprocessable"),
    "500": lambda: error(500, "internal error"),
    "200": under_200,
    "200 and no JSON": lambda: Reply(chunks=[b"out of slots"]),
}


def conversation(turns: int, chars: int = 400) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "the task"}]
    for turn in range(turns):
        messages.append({"role": "assistant", "content": f"{turn}" * chars})
        messages.append({"role": "user", "content": "seen"})
    return messages


def length_of(body: dict[str, Any]) -> int:
    return sum(len(message["content"]) for message in body["messages"])


def last_event(text: str) -> Any:
    return json.loads(text.strip().split("data: ")[-1])


def minds(it: Setup, is_minded: Callable[[dict[str, Any]], bool], reject: Reject) -> None:
    """The server answers all other requests; it counts four characters a token."""

    def reply() -> Reply:
        asked = it.upstream.asked[-1]
        usage = {"prompt_tokens": len(json.dumps(asked)) // 4}
        if is_minded(asked):
            return reject()
        said = {"content": "an answer"}
        return stream(said) if asked.get("stream") else completion(usage=usage)

    it.upstream.otherwise = reply


def ask_till_the_end(it: Setup, **more: Any) -> tuple[int, dict[str, Any]]:
    """An agent's requests, each longer than the one before, until one is not answered."""
    for turns in range(0, 40, 3):
        response = it.post({"messages": conversation(turns), **more})
        if response.status_code != 200:
            return response.status_code, response.json()
    raise AssertionError("all of them were answered")


@pytest.mark.parametrize("way", ODD_WAYS)
def test_a_server_that_minds_only_the_length_is_understood(
    setup: Callable[..., Setup], way: str
) -> None:
    it = setup(endpoint=FAST)
    minds(it, lambda asked: length_of(asked) > LIMIT, ODD_WAYS[way])

    status, said = ask_till_the_end(it)

    assert (status, said["error"]["code"]) == (400, "context_length_exceeded")
    assert it.gateway.said(Availability) == [], "the server was there all the time"


def test_a_stream_that_ends_before_it_began_is_understood(setup: Callable[..., Setup]) -> None:
    it = setup(endpoint=FAST)
    minds(it, lambda asked: length_of(asked) > LIMIT, in_a_stream)
    it.post({"messages": conversation(10)})

    response = it.post({"messages": conversation(20), "stream": True})

    assert response.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("event", [b"data: %s", b"error: %s", b"event: error\ndata: %s"])
def test_an_overflow_in_the_middle_of_a_stream_is_told_to_the_agent(
    setup: Callable[..., Setup], event: bytes
) -> None:
    said = {"message": "no", "type": "exceed_context_size_error", "code": 500}
    said = {"error": said} if event.startswith(b"data") else said
    begun = stream({"content": "x"}, ends=False)
    chunks = [*begun.chunks, event % json.dumps(said).encode() + b"\n\n"]
    it = setup(Reply(chunks=chunks, content_type=EVENT_STREAM))

    response = it.post({"messages": conversation(1), "stream": True})

    assert last_event(response.text)["error"]["code"] == "context_length_exceeded"
    assert it.record().result is RequestResult.CONTEXT_OVERFLOW


@pytest.mark.parametrize(
    ("context_length", "code"), [(None, "context_length_exceeded"), (100_000, 502)]
)
def test_a_full_cache_in_the_middle_of_a_stream_is_no_overflow_where_the_context_is_known(
    setup: Callable[..., Setup], context_length: int | None, code: object
) -> None:
    it = setup(context_length=context_length)
    minds(it, lambda asked: False, ODD_WAYS["500"])
    it.post({"messages": conversation(1)})
    words = {"error": {"message": "Context size has been exceeded.", "code": 500}}
    begun = stream({"content": "x"}, ends=False)
    it.upstream.script = [Reply(chunks=[*begun.chunks, *events(words)], content_type=EVENT_STREAM)]

    response = it.post({"messages": conversation(2), "stream": True})

    assert last_event(response.text)["error"]["code"] == code


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "Failed to parse tool call arguments as JSON"),
        (500, 'error parsing tool call: raw=`grep "prompt is too long"`'),
        (504, "<html>gateway time-out"),
        (524, "a timeout occurred"),
    ],
)
def test_what_fails_for_what_is_generated_is_no_overflow(
    setup: Callable[..., Setup], status: int, words: str, streamed: bool
) -> None:
    it = setup(endpoint=FAST, sampling={"max_tokens": 800})
    it.upstream.otherwise = lambda: (
        error(status, words) if it.upstream.asked[-1]["max_tokens"] > 1 else completion()
    )

    it.upstream.script = [completion(usage={"prompt_tokens": 10})]
    it.post({"messages": conversation(1)})
    response = it.post({"messages": conversation(20), "stream": streamed})

    assert response.status_code == 502
    assert "context_length_exceeded" not in response.text


def test_a_cache_that_is_full_of_other_prompts_is_no_overflow(
    setup: Callable[..., Setup],
) -> None:
    it = setup(endpoint=FAST, context_length=100_000)
    it.upstream.script = [completion(usage={"prompt_tokens": 10})]
    it.post({"messages": conversation(1)})
    minds(it, lambda asked: length_of(asked) > 2000, lambda: error(500, FULL))

    response = it.post({"messages": conversation(20)})

    assert response.status_code == 502


def test_an_answer_that_alone_would_fill_the_context_is_no_overflow(
    setup: Callable[..., Setup],
) -> None:
    it = setup(sampling={"max_tokens": 40_000}, context_length=32_768)
    words = "'max_tokens' is too large: 40000. This model's maximum context length is 32768 tokens"
    it.upstream.otherwise = lambda: error(400, words)

    response = it.post({"messages": conversation(1)})

    assert response.json()["error"]["code"] == 400
    assert it.record().result is RequestResult.REFUSED


@pytest.mark.parametrize("way", ODD_WAYS)
def test_a_server_that_minds_what_is_said_is_not_misunderstood(
    setup: Callable[..., Setup], way: str
) -> None:
    it = setup(endpoint=FAST)
    minds(it, lambda asked: "POISON" in json.dumps(asked), ODD_WAYS[way])
    it.post({"messages": conversation(3)})
    messages = [*conversation(4)[:-1], {"role": "user", "content": "POISON"}]

    response = it.post({"messages": messages})

    assert response.status_code >= 400
    assert "context_length_exceeded" not in response.text
    assert it.gateway.said(Availability) == []


@pytest.mark.parametrize(("context_length", "expected"), [(4000, True), (100_000, False)])
def test_a_first_prompt_is_compared_with_the_context_that_is_known(
    setup: Callable[..., Setup], context_length: int, expected: bool
) -> None:
    it = setup(context_length=context_length)
    minds(it, lambda asked: length_of(asked) > LIMIT, ODD_WAYS["400 in unknown words"])

    response = it.post({"messages": [{"role": "user", "content": "x" * 16_000}]})

    is_overflow = response.json()["error"]["code"] == "context_length_exceeded"
    assert is_overflow is expected


def test_the_context_that_the_server_tells_of_counts_too(setup: Callable[..., Setup]) -> None:
    it = setup(endpoint=FAST)
    listed = {"data": [{"id": "scripted", "max_model_len": 4000}, {"id": "other"}]}
    it.upstream.pages["/v1/models"] = json.dumps(listed)
    minds(it, lambda asked: length_of(asked) > LIMIT, ODD_WAYS["500"])

    response = it.post({"messages": [{"role": "user", "content": "x" * 16_000}]})

    assert response.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("page", ["", "[]", '{"data": 7}', '{"data": [7]}', '{"data": [{}]}'])
def test_a_server_that_lists_no_models_is_no_trouble(
    setup: Callable[..., Setup], page: str
) -> None:
    it = setup()
    it.upstream.pages["/v1/models"] = page
    minds(it, lambda asked: length_of(asked) > LIMIT, ODD_WAYS["422"])

    assert ask_till_the_end(it)[1]["error"]["code"] == "context_length_exceeded"


def test_the_shorter_question_asks_for_one_token_and_keeps_the_tools(
    setup: Callable[..., Setup],
) -> None:
    it = setup(sampling={"max_tokens": 800}, endpoint=FAST)
    minds(it, lambda asked: length_of(asked) > LIMIT, ODD_WAYS["500"])
    ask_till_the_end(it, tools=[{"type": "function"}], max_completion_tokens=90)

    *_, whole, whole_again, shorter = it.upstream.asked
    assert (shorter["max_tokens"], shorter["tools"]) == (1, [{"type": "function"}])
    assert "max_completion_tokens" not in shorter
    assert len(shorter["messages"]) == 4
    assert whole == whole_again == shorter | {"messages": whole["messages"]}, "first the whole"


@pytest.mark.parametrize("messages", [None, 7, "x", [], [7], [{"role": "assistant"}]])
def test_messages_that_are_none_are_refused_as_the_server_refuses_them(
    setup: Callable[..., Setup], messages: Any
) -> None:
    it = setup(context_length=10)
    it.upstream.script = [error(400, "messages: invalid") for _ in range(3)]

    response = it.post({"messages": messages, "pad": "x" * 100})

    assert (response.status_code, response.json()["error"]["code"]) == (400, 400)
