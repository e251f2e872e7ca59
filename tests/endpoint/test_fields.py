"""What a profile adds to requests, and what is read off answers of all sorts."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.config.schema import Endpoint, Model, Sampling
from orchestrator.endpoint.fields import (
    Tokens,
    error_code,
    error_text,
    error_type,
    is_swallowed,
    read_tokens,
    why_no_completion,
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
    assert why_no_completion(whole) == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (None, "no JSON object"),
        ([], "no JSON object"),
        ("<html>", "no JSON object"),
        ({}, "no choices"),
        ({"choices": []}, "no choices"),
        ({"choices": "x"}, "no choices"),
        ({"choices": [None]}, "a choice is no object"),
        ({"choices": [{}]}, "no message"),
        (answer("abort", content="x"), "gave the answer up (finish_reason 'abort')"),
        (answer("error", content="x"), "gave the answer up (finish_reason 'error')"),
        (answer(None, content="x"), "finish_reason is null"),
        ({"error": {"message": "out of credit"}}, "an error in place of an answer: out of credit"),
        ({"error": "x", "choices": []}, "an error in place of an answer: x"),
        ({"choices": [{"finish_reason": None}]}, "finish_reason is null"),
        ({"choices": [{"message": "x"}]}, "no message"),
    ],
)
def test_everything_else_is_none_and_says_why(other: object, why: str) -> None:
    assert why in why_no_completion(other)


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
        ("red \x1b[31m and \u202eback", "red  and back"),
        ({"error": {"message": "half \ud83d"}}, "half \ufffd"),
        ({"error": None}, "None"),
        ("\0", "\ufffd"),
    ],
)
def test_an_error_is_read_in_every_shape(body: object, text: str) -> None:
    assert error_text(body) == text


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ({"error": {"type": "server_error", "code": 500}}, "server_error", 500),
        ({"object": "error", "type": "BadRequestError", "code": 400}, "BadRequestError", 400),
        ({"error": "plain"}, "", None),
        ({"error": None}, "", None),
        ("a page", "", None),
    ],
)
def test_type_and_code_of_an_error_are_read_in_every_shape(
    body: object, kind: str, code: object
) -> None:
    assert (error_type(body), error_code(body)) == (kind, code)
