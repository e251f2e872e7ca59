"""What a model's profile adds to a request, and what answers say. JSON in, plain values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config.schema import Model

CONTEXT_OVERFLOW = re.compile(
    r"maximum context length|context length is only|context length exceeded"
    r"|context_length_exceeded|exceeds? the (?:available |model's )?context"
    r"|longer than the maximum model length|maximum input length|too long to fit into the model"
    r"|prompt is too long|input is too long",
    re.IGNORECASE,
)
SWALLOWED = (
    "answers come back with reasoning and no content: the server's reasoning parser swallows them; "
    "leave --reasoning-parser out, or set chat_template_kwargs: {enable_thinking: false}"
)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_REASONING = ("reasoning", "reasoning_content")
"""vLLM's field, and its older name."""


def with_profile(model: Model, body: Mapping[str, Any]) -> dict[str, Any]:
    """A request as the profile wants it: its name for the model, its sampling and its fields.

    The profile has the last word, over what agents send by themselves too; objects are merged.
    """
    given = {
        **model.sampling.model_dump(exclude_none=True),
        **model.request_fields,
        "model": model.served_name,
    }
    merged = dict(body)
    for key, value in given.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = {**old, **value}
        merged[key] = value
    return merged


@dataclass(frozen=True)
class Tokens:
    """Tokens of one answer, as the server counted them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int = 0


def read_tokens(answer: Mapping[str, Any]) -> Tokens:
    """The `usage` of an answer, or of a stream's last chunk."""
    usage = answer.get("usage") or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return Tokens(
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        cached_tokens=None if cached is None else int(cached),
        reasoning_tokens=int(
            (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        ),
    )


def has_reasoning(message: Mapping[str, Any]) -> bool:
    """Whether a message, or a stream's delta, carries reasoning apart from its content."""
    return any(message.get(name) for name in _REASONING)


def has_words(message: Mapping[str, Any]) -> bool:
    """Whether it carries what an agent can act on."""
    return bool(message.get("content") or message.get("tool_calls"))


def is_completion(answer: object) -> bool:
    """Whether it has the shape of a chat completion: a proxy's page has not."""
    return isinstance(answer, Mapping) and isinstance(answer.get("choices"), list)


def is_swallowed(answer: Mapping[str, Any]) -> bool:
    """No content, no tool call, but reasoning: the server took the answer for thought."""
    messages = [choice.get("message") or {} for choice in answer["choices"]]
    if not messages or any(has_words(message) for message in messages):
        return False
    return any(map(has_reasoning, messages)) or read_tokens(answer).reasoning_tokens > 0


def strip_reasoning(message: dict[str, Any]) -> bool:
    """Take the model's thoughts out of a message, in place; whether there were any."""
    found = has_reasoning(message)
    for name in _REASONING:
        message.pop(name, None)
    content = message.get("content")
    if isinstance(content, str) and (thought := _THOUGHT.match(content)):
        message["content"] = content[thought.end() :]
        found = True
    return found


def error_text(answer: object) -> str:
    """The words of an error body: OpenAI's shape, vLLM's older flat one, or whatever came."""
    if isinstance(answer, Mapping):
        error = answer.get("error", answer)
        if isinstance(error, Mapping):
            return str(error.get("message") or error)
        return str(error)
    return str(answer)
