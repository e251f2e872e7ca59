"""Is a prompt that a server would not take too long for it?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.endpoint.overflow import (
    KNOWN_WORDS,
    Prompt,
    cut_to_the_bone,
    estimate_tokens,
    said_to_be_too_long,
    without_its_middle,
)

SAID = {
    "vLLM": [
        "This model's maximum context length is 32768 tokens. However, your prompt has 32769.",
        "Input length (11680) exceeds model's maximum context length (4096).",
        "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
        "max_tokens must be at least 1, got -7584. (parameter=max_tokens, value=-7584)",
        "You passed 131073 input tokens. However, the model's context length is only 131072 tokens",
        "The prompt (total length 9000) is too long to fit into the model",
    ],
    "SGLang": [
        "Input length (65537 tokens) exceeds the maximum allowed length (65532 tokens).",
        "The input (85050 tokens) is longer than the model's context length (32768 tokens).",
        "Requested token count exceeds the model's maximum context length of 202752 tokens.",
        "max_new_tokens must be at least 0, got -5.",
    ],
    "llama.cpp": [
        "the request exceeds the available context size. try increasing it",
        "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "request (53192 tokens) exceeds context size (50176 tokens)",
        "Requested tokens (2285) exceed context window of 2048",
    ],
    "LM Studio": [
        "Trying to keep the first 111490 tokens when context the overflows. However, the model …",
        "Error: Input length 6491 exceeds context length 1500",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
        "Reached context length of 4096 tokens, but this model does not currently support …",
        "Context size has been exceeded.",
    ],
    "Ollama": [
        "the input length exceeds the context length",
        "prompt too long; exceeded max context length by 100918 tokens",
    ],
    "TensorRT-LLM": [
        "The sum of prompt length (72417.0), query length (0) should not exceed max_num_tokens (9)"
    ],
    "TGI": [
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 1872",
    ],
    "LiteLLM": [
        "litellm.ContextWindowExceededError: litellm.BadRequestError: …",
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in …",
        "The input token count (2800010) exceeds the maximum number of tokens allowed (1048575).",
        "prompt is too long: 200001 tokens > 200000 maximum",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000",
        "Your messages resulted in 5000 tokens. Please reduce the length of the messages.",
    ],
    "rkllama": ["Prompt is 11543 tokens but the model context window is 4096 tokens."],
}
EVERY = [(server, words) for server, some in SAID.items() for words in some]


@pytest.mark.parametrize(("server", "words"), EVERY)
@pytest.mark.parametrize(
    ("status", "said"), [(400, "yes"), (413, "yes"), (422, "perhaps"), (500, "perhaps")]
)
def test_every_servers_words_are_known_under_every_status(
    server: str, words: str, status: int, said: str
) -> None:
    assert said_to_be_too_long(status, {"error": {"message": words}}) == said
    assert said_to_be_too_long(status, {"object": "error", "message": words}) == said
    assert said_to_be_too_long(status, words) == said, "as plain text"
    nested = {"error": {"message": json.dumps({"error": {"message": words}})}}
    assert said_to_be_too_long(status, nested) == said, "Ollama quotes its runner"


@pytest.mark.parametrize(
    "error",
    [
        {"type": "exceed_context_size_error", "message": "x", "n_prompt_tokens": 9, "n_ctx": 5},
        {"code": "context_length_exceeded", "message": "x"},
        {"type": "ContextWindowExceededError", "message": "x"},
    ],
)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_known_types_say_it_without_words(error: dict[str, Any], status: int) -> None:
    assert said_to_be_too_long(status, {"error": error}) == "yes"


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 410, 429, 504, 524])
def test_refusals_that_are_never_for_length_may_quote_the_prompt(status: int) -> None:
    assert said_to_be_too_long(status, "your prompt is too long") == "no"


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens must be at least 1, in the context of sampling",
        "max_tokens must be at least 1, got 0",
        "`temperature` must be non-negative",
        "CUDA error: out of memory",
        "EngineCore encountered an issue",
        "Conversation roles must alternate user/assistant",
        "the model context is being loaded",
        "Requested model exceeds the available memory",
        "",
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_other_errors_say_nothing_of_length(words: str, status: int) -> None:
    assert said_to_be_too_long(status, {"error": {"message": words}}) == "no"


def test_what_an_error_quotes_at_its_end_is_not_its_word() -> None:
    quoted = "1 validation error: " + "x" * 700 + " the prompt is too long"

    assert said_to_be_too_long(400, quoted) == "no"


def test_each_server_of_the_table_has_a_source() -> None:
    assert [words.server for words in KNOWN_WORDS if not words.source] == ["others"]


@pytest.mark.parametrize(
    ("prompt", "fills", "may_be"),
    [
        (Prompt(estimate=31_000, context=32_768), True, True),
        (Prompt(estimate=20_000, context=32_768), False, False),
        (Prompt(estimate=20_000), False, False),
        (Prompt(estimate=20_000, longest_taken=21_000), False, True),
        (Prompt(estimate=20_000, longest_taken=30_000), False, False),
        (Prompt(estimate=20_000, longest_taken=15_000, context=32_768), False, True),
        (Prompt(estimate=10_000, longest_taken=9_000, context=32_768), False, False),
    ],
)
def test_a_prompt_is_compared_with_what_is_known(prompt: Prompt, fills: bool, may_be: bool) -> None:
    assert (prompt.fills_context, prompt.may_be_too_long) == (fills, may_be)


def test_an_answer_that_would_fill_the_context_alone_is_the_profiles_fault() -> None:
    assert Prompt(12, context=32_768, answer=40_000).is_asked_too_much
    assert not Prompt(32_000, context=32_768, answer=1000).is_asked_too_much
    assert not Prompt(12, answer=40_000).is_asked_too_much


@pytest.mark.parametrize(
    ("chars", "known", "tokens"),
    [(4000, None, 1000), (4000, (2000, 900), 1800), (4000, (2000, 0), 1000), (0, (0, 0), 0)],
)
def test_tokens_are_estimated_from_the_same_conversation(
    chars: int, known: tuple[int, int] | None, tokens: int
) -> None:
    assert estimate_tokens(chars, known) == tokens


def turn(role: str, content: Any = "x") -> dict[str, Any]:
    return {"role": role, "content": content}


S, U, A, T = turn("system"), turn("user"), turn("assistant"), turn("tool")


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ([S, U, A, U, A, U], [S, U, A, U]),
        ([U, A, U, A, T, T], [U, A, T, T]),
        ([S, U, U, A, U], [S, U, A, U]),
        ([S, U, A, U], None),
        ([S, U], None),
        ([S, A], None),
        ([], None),
        ([None, 7, U, A, "x", A], [None, 7, U, A]),
    ],
)
def test_a_conversation_without_its_middle_has_its_start_and_its_newest_turn(
    messages: list[Any], left: list[Any] | None
) -> None:
    assert without_its_middle(messages) == left


def test_a_conversation_cut_to_the_bone_has_the_same_turns() -> None:
    messages = [S, turn("user", "y" * 1000), turn("assistant", None), turn("user", [{"a": 1}]), 7]
    cut = cut_to_the_bone(messages)

    assert cut[1]["content"] == "y" * 400
    assert [cut[0], *cut[2:]] == [messages[0], *messages[2:]]
    assert messages[1]["content"] == "y" * 1000, "the agent's own are as they were"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fuzz
@given(st.integers(100, 599), JSON)
def test_whatever_an_error_holds_it_can_be_read(status: int, answer: object) -> None:
    assert said_to_be_too_long(status, answer) in ("yes", "perhaps", "no")
    assert said_to_be_too_long(status, {"error": answer}) in ("yes", "perhaps", "no")


@pytest.mark.fuzz
@given(st.lists(JSON | st.sampled_from([S, U, A, T]), max_size=8))
def test_whatever_messages_hold_they_can_be_shortened(messages: list[Any]) -> None:
    shorter = without_its_middle(messages)

    assert shorter is None or len(shorter) < len(messages)
    assert len(cut_to_the_bone(messages)) == len(messages)
