"""What a model's profile adds to a request, and what answers say. JSON in, plain values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config.schema import Model
from orchestrator.text import printable

MAX_TOKENS = 2**53
INTERNAL_ERROR = "gateway_internal_error"
"""An error's type: the gateway's own code raised; its log has the traceback."""
TOO_BUSY = (429, 503)
"""HTTP statuses of a server that lives, and takes no more for now."""
SWALLOWED_ANSWERS = (
    "answers come back with reasoning and no content: the server's reasoning parser swallows them, "
    "or they end within a thought"
)
SWALLOWED_CURE = (
    "leave --reasoning-parser out, or set chat_template_kwargs: {enable_thinking: false}"
)
"""Of vLLM and SGLang; `server_settings` has that of other servers."""
SWALLOWED = f"{SWALLOWED_ANSWERS}; {SWALLOWED_CURE}"
REASONING = ("reasoning", "reasoning_content")
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
    """The `usage` of an answer, or of a stream's last chunk. What is no number counts as 0."""
    usage = _object(answer.get("usage"))
    cached = _object(usage.get("prompt_tokens_details")).get("cached_tokens")
    completion = _object(usage.get("completion_tokens_details"))
    return Tokens(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=None if cached is None else _count(cached),
        reasoning_tokens=_count(completion.get("reasoning_tokens")),
    )


def has_reasoning(message: Mapping[str, Any]) -> bool:
    """Whether a message, or a stream's delta, carries reasoning apart from its content."""
    return any(message.get(name) for name in REASONING)


def is_actionable(message: Mapping[str, Any]) -> bool:
    """Whether a message, or a stream's delta, has content or a tool call."""
    return bool(message.get("content") or message.get("tool_calls"))


def why_no_completion(answer: object) -> str:
    """What is wrong with it as a whole chat completion, in words; empty where nothing is."""
    if not isinstance(answer, Mapping):
        return "the answer is no JSON object"
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        if answer.get("error"):
            return f"an error in place of an answer: {error_text(answer)}"
        return "the answer is no chat completion: it has no choices"
    return next(filter(None, map(_why_no_choice, choices)), "")


def is_end(finish_reason: object) -> bool:
    """Whether an answer ended by itself, and was not given up by its server."""
    return finish_reason is not None and finish_reason not in ("abort", "error")


def _why_no_choice(choice: object) -> str:
    if not isinstance(choice, Mapping):
        return "the answer is no chat completion: a choice is no object"
    reason = choice.get("finish_reason", "stop")
    if reason is None:
        return "finish_reason is null: nobody can tell whether the answer is whole"
    if not is_end(reason):
        return f"the server gave the answer up (finish_reason {reason!r})"
    message = choice.get("message")
    # whatever it says is the model's doing, and one that ended may say nothing
    if isinstance(message, Mapping) or (message is None and "finish_reason" in choice):
        return ""
    return "the answer is no chat completion: a choice has no message"


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: object) -> int:
    """A number of tokens; 0 for what is none."""
    is_count = isinstance(value, int | float) and 0 <= value < MAX_TOKENS
    return int(value) if is_count else 0  # type: ignore[call-overload]


def is_swallowed(answer: Mapping[str, Any]) -> bool:
    """Of a completion: no content, no tool call, but reasoning. It was taken for thought."""
    messages = [choice["message"] for choice in answer["choices"]]
    if any(map(is_actionable, messages)):
        return False
    return any(map(has_reasoning, messages)) or read_tokens(answer).reasoning_tokens > 0


def error_text(answer: object) -> str:
    """The words of an error body: OpenAI's shape, vLLM's older flat one, or whatever came."""
    if not isinstance(answer, Mapping):
        return printable(str(answer))
    error = answer.get("error", answer)
    if not isinstance(error, Mapping):
        return printable(str(error))
    message, code = str(error.get("message") or error), error.get("code")
    # a code that is a word says more than the message
    told = isinstance(code, str) and code not in message
    return printable(f"{message} ({code})" if told else message)


def error_type(answer: object) -> str:
    """The type that an error body names, in either shape; empty where it names none."""
    return str(_error(answer).get("type") or "")


def error_code(answer: object) -> object:
    """The code that an error body names, in either shape: a number as HTTP's, a word, or None."""
    return _error(answer).get("code")


def _error(answer: object) -> Mapping[str, Any]:
    return _object(answer.get("error", answer)) if isinstance(answer, Mapping) else {}
