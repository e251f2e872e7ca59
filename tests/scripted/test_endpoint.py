"""The scripted endpoint speaks OpenAI's chat API, as far as agents speak it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from orchestrator.dataset import Dataset
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import Instance

pytestmark = pytest.mark.slow


@pytest.fixture
def endpoint(demo: Dataset) -> Iterator[ScriptedEndpoint]:
    personas = {demo.instances[1].instance_id: "breaks_format", "default": "solves"}
    with ScriptedEndpoint(demo.instances, demo.answers, personas) as endpoint:
        yield endpoint


@pytest.fixture
def http(endpoint: ScriptedEndpoint) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=endpoint.base_url, timeout=10) as client:
        yield client


def body(instance: Instance, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "fence it: ```mswea_bash_command"},
        {"role": "user", "content": f"Someone reported:\n{instance.problem_statement}\nMend it."},
    ]
    return {"model": "scripted", "messages": messages, **more}


def test_it_says_what_it_serves(http: httpx.Client) -> None:
    reply = http.get("/models").json()

    assert [entry["id"] for entry in reply["data"]] == ["scripted"]


def test_it_finds_the_instance_by_its_problem_statement(http: httpx.Client, demo: Dataset) -> None:
    for number, command in ((0, True), (1, False)):
        reply = http.post("/chat/completions", json=body(demo.instances[number])).json()
        content = reply["choices"][0]["message"]["content"]
        assert ("```mswea_bash_command" in content) == command


def test_it_finds_the_instance_in_a_prompt_that_comes_in_parts(
    http: httpx.Client, demo: Dataset
) -> None:
    request = body(demo.instances[1])
    for message in request["messages"]:
        message["content"] = [{"type": "text", "text": message["content"]}]

    reply = http.post("/chat/completions", json=request).json()

    assert "I would now edit the file" in reply["choices"][0]["message"]["content"]


def test_a_persona_learns_how_many_functions_it_may_call(demo: Dataset) -> None:
    """Where many are offered, this one never says what to run."""
    names = ["bash", "edit", "submit", "terminal"]
    with (
        ScriptedEndpoint(demo.instances, demo.answers, {"default": "drops_parameters"}) as endpoint,
        httpx.Client(base_url=endpoint.base_url) as client,
    ):
        for number, has_command in ((3, True), (4, False)):
            tools = [{"type": "function", "function": {"name": name}} for name in names[:number]]
            request = body(demo.instances[0], tools=tools)
            reply = client.post("/chat/completions", json=request).json()
            (call,) = reply["choices"][0]["message"]["tool_calls"]
            assert ("command" in json.loads(call["function"]["arguments"])) == has_command


def test_a_swallowed_answer_has_reasoning_and_no_content(demo: Dataset) -> None:
    with (
        ScriptedEndpoint(demo.instances, demo.answers, {"default": "swallowed"}) as endpoint,
        httpx.Client(base_url=endpoint.base_url) as client,
    ):
        reply = client.post("/chat/completions", json=body(demo.instances[0])).json()

    message = reply["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning"]


def test_it_speaks_as_the_conversation_asks_for_it(http: httpx.Client, demo: Dataset) -> None:
    request = body(demo.instances[0])
    tools = [{"type": "function", "function": {"name": "bash"}}]
    in_tags, called = {**request}, {**request, "tools": tools}
    in_tags["messages"] = [
        {"role": "system", "content": "<command>…</command>"},
        *request["messages"][1:],
    ]

    tagged, call = (
        http.post("/chat/completions", json=asked).json()["choices"][0]
        for asked in (in_tags, called)
    )

    assert "<command>\ngit status --short && ls\n</command>" in tagged["message"]["content"]
    assert call["finish_reason"] == "tool_calls"
    function = call["message"]["tool_calls"][0]["function"]
    assert function["name"] == "bash"
    assert json.loads(function["arguments"]) == {"command": "git status --short && ls"}


def test_an_answer_has_the_official_fields(http: httpx.Client, instance: Instance) -> None:
    reply = http.post("/chat/completions", json=body(instance)).json()

    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["finish_reason"] == "stop"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_says_the_same_as_a_whole_answer(
    http: httpx.Client, endpoint: ScriptedEndpoint, instance: Instance
) -> None:
    import openai  # a second, which only this test needs

    whole = http.post("/chat/completions", json=body(instance)).json()["choices"][0]["message"]
    with openai.OpenAI(base_url=endpoint.base_url, api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(**body(instance, stream=True))
        chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole["content"]
    assert chunks[-1].usage is not None
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


@pytest.mark.parametrize("tools", [("bash",), ("terminal", "file_editor", "finish")], ids="-".join)
def test_a_streamed_call_is_the_same_as_a_whole_one(
    http: httpx.Client, endpoint: ScriptedEndpoint, instance: Instance, tools: tuple[str, ...]
) -> None:
    import openai  # a second, which only these tests need

    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    request = body(instance, tools=offered)
    whole = http.post("/chat/completions", json=request).json()["choices"][0]
    with (
        openai.OpenAI(base_url=endpoint.base_url, api_key="none", max_retries=0) as client,
        client.chat.completions.stream(**request) as stream,
    ):
        streamed = stream.get_final_completion().choices[0]

    assert streamed.finish_reason == whole["finish_reason"] == "tool_calls"
    assert streamed.message.content == whole["message"]["content"]
    calls = streamed.message.tool_calls or []
    (said,) = whole["message"]["tool_calls"]
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        (said["id"], said["function"]["name"], said["function"]["arguments"])
    ]


def test_a_stream_ends_with_done(http: httpx.Client, instance: Instance) -> None:
    reply = http.post("/chat/completions", json=body(instance, stream=True))

    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.text.endswith("data: [DONE]\n\n")
    assert all(
        json.loads(line.removeprefix("data: "))
        for line in reply.text.splitlines()
        if line and not line.endswith("[DONE]")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"messages"',
        b"\xff\xfe",
        b'{"model": "scripted"}',
        b'{"model": "scripted", "messages": null}',
        b'{"model": "scripted", "messages": [1]}',
        b'{"model": "scripted", "messages": [{"content": "x"}]}',
        b'{"model": "scripted", "messages": [{"role": "user"}]}',
        b'{"model": "scripted", "messages": [{"role": "user", "content": ["x"]}]}',
        b'{"model": "scripted", "messages": [{"role": "user", "content": "x"}], "tools": [1]}',
        b'{"model": "scripted", "messages": [{"role": "user", "content": "x"}], "tools": 1}',
        b'{"model": "scripted", "messages": [{"role": "user", "content": "x"}], "tools": "x"}',
    ],
)
def test_a_malformed_body_is_refused(http: httpx.Client, data: bytes) -> None:
    reply = http.post("/chat/completions", content=data)

    assert reply.status_code == 400
    assert "malformed body" in reply.json()["error"]["message"]


def test_a_late_message_without_content_is_an_answer_or_a_refusal(
    http: httpx.Client, instance: Instance
) -> None:
    """An assistant's message that only calls tools has no content."""
    request = body(instance)
    request["messages"] += [{"role": "user", "content": "go"}, {"role": "assistant"}]

    assert http.post("/chat/completions", json=request).status_code in (200, 400)


def test_another_model_is_not_found(http: httpx.Client, instance: Instance) -> None:
    reply = http.post("/chat/completions", json=body(instance) | {"model": "other"})

    assert reply.status_code == 404


def test_another_path_is_not_found(http: httpx.Client) -> None:
    assert http.get("/something").status_code == 404


def test_one_connection_carries_many_requests(
    http: httpx.Client, endpoint: ScriptedEndpoint, instance: Instance
) -> None:
    for _ in range(3):
        assert http.post("/chat/completions", json=body(instance)).status_code == 200
        assert http.post("/chat/completions", content=b"{").status_code == 400

    assert endpoint.requests == 3


def test_a_server_that_goes_away_hangs_up_and_comes_back(
    http: httpx.Client, endpoint: ScriptedEndpoint
) -> None:
    endpoint.go_away(60)
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/models")

    endpoint.go_away(0)
    assert http.get("/models").status_code == 200


def test_an_unknown_persona_is_refused_with_those_that_there_are(demo: Dataset) -> None:
    with pytest.raises(ValueError, match=r"no persona 'sloves'.*solves"):
        ScriptedEndpoint(demo.instances, demo.answers, {"default": "sloves"})
