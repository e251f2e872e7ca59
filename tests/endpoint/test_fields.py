"""What a profile adds to requests, and what is read off answers of all sorts."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.config.schema import Endpoint, Model, Sampling
from orchestrator.endpoint.fields import (
    CONTEXT_OVERFLOW,
    Tokens,
    error_text,
    is_completion,
    is_swallowed,
    read_tokens,
    with_profile,
)

PROFILE = Model(
    name="m",
    served_name="served",
    endpoint=Endpoint(base_url="http://h:8000/v1"),
    sampling=Sampling(temperature=0.6, max_tokens=800),
    request_fields={"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20},
)


def answer(finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": None, **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish_reason}]}


def test_the_profile_goes_over_the_request_and_objects_are_merged() -> None:
    body = {
        "model": "gpt-4",
        "temperature": 1.0,
        "stop": ["x"],
        "chat_template_kwargs": {"enable_thinking": True, "tools_first": True},
    }

    assert with_profile(PROFILE, body) == {
        "model": "served",
        "temperature": 0.6,
        "max_tokens": 800,
        "stop": ["x"],
        "top_k": 20,
        "chat_template_kwargs": {"enable_thinking": False, "tools_first": True},
    }
    assert body["model"] == "gpt-4", "the agent's own request is left as it is"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4}, Tokens(9, 4)),
        (
            {
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Tokens(9, 0, 8, 3),
        ),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, Tokens(9)),
        ({"prompt_tokens": -1, "completion_tokens": 1e300}, Tokens()),
        ({"prompt_tokens": "many"}, Tokens()),
        ("usage", Tokens()),
        (None, Tokens()),
    ],
)
def test_tokens_are_read_where_they_are_numbers(usage: object, expected: Tokens) -> None:
    assert read_tokens({"usage": usage}) == expected


@pytest.mark.parametrize(
    "whole",
    [
        *(answer(content="x"), answer(content=""), answer(tool_calls=[{}]), answer("length")),
        *(answer(content={"text": "x"}), answer(content=5), answer(content=["x", None])),
        {"choices": [{"finish_reason": "length"}]},
        {"choices": [{"message": None, "finish_reason": "content_filter"}]},
    ],
)
def test_a_whole_answer_is_a_completion(whole: dict[str, Any]) -> None:
    assert is_completion(whole)


@pytest.mark.parametrize(
    "other",
    [
        *(None, [], "<html>", {}, {"choices": []}, {"choices": [None]}, {"choices": [{}]}),
        *({"choices": [{"finish_reason": None}]}, {"choices": [{"message": "x"}]}),
        *(answer("abort", content="x"), answer("error", content="x"), answer(None, content="x")),
        {"error": {"message": "x"}},
    ],
)
def test_everything_else_is_none(other: object) -> None:
    assert not is_completion(other)


def test_an_answer_of_reasoning_alone_is_swallowed() -> None:
    counted = {"usage": {"completion_tokens_details": {"reasoning_tokens": 5}}}

    assert is_swallowed(answer(reasoning="hm"))
    assert is_swallowed(answer(reasoning_content="hm", content=""))
    assert is_swallowed(answer() | counted)
    assert not is_swallowed(answer(reasoning="hm", content="x"))
    assert not is_swallowed(answer(reasoning="hm", tool_calls=[{"id": "1"}]))
    assert not is_swallowed(answer(content=""))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "too long", "code": 400}}, "too long"),
        ({"error": {"message": "no", "code": "model_not_found"}}, "no (model_not_found)"),
        ({"message": "older vLLM", "object": "error"}, "older vLLM"),
        ({"error": "plain"}, "plain"),
        ("a page", "a page"),
        ({"error": {"message": "half \ud83d"}}, "half \ufffd"),
        ({"error": None}, "None"),
        ("\0", "\ufffd"),
    ],
)
def test_an_error_is_read_in_every_shape(body: object, text: str) -> None:
    assert error_text(body) == text


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 32768 tokens. However, your prompt contains 32769",
        "the request exceeds the available context size",
        "(context_length_exceeded)",
        "prompt is too long: 200001 tokens > 200000 maximum",
        "`inputs` tokens + `max_new_tokens` must be <= 4096",
    ],
)
def test_servers_words_for_a_prompt_that_is_too_long_are_known(text: str) -> None:
    assert CONTEXT_OVERFLOW.search(text)


def test_other_refusals_are_no_overflow() -> None:
    assert not CONTEXT_OVERFLOW.search("max_tokens must be at least 1, in the context of sampling")
