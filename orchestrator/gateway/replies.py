"""Answers on their way to the agent: what is read off them, and what is changed in them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from orchestrator.endpoint.fields import (
    Tokens,
    error_code,
    has_reasoning,
    is_actionable,
    is_end,
    is_swallowed,
    read_tokens,
    strip_reasoning,
)
from orchestrator.endpoint.overflow import OVERFLOW_CODE
from orchestrator.gateway.events import read_event
from orchestrator.gateway.upstreams import UpstreamAnswer
from orchestrator.types import RequestResult

OVERFLOW_WORDS = "maximum context length"
UNAVAILABLE = "endpoint_unavailable"
"""An error's type: requests were held for as long as they may be."""
FAILED = "request_failed"
"""An error's type: servers that were up failed at this request, time and again."""


@dataclass(frozen=True)
class AgentReply:
    """What the agent gets, and what the meter notes."""

    status: int
    body: bytes
    result: RequestResult
    tokens: Tokens = field(default_factory=Tokens)


def make_reply(answer: UpstreamAnswer, strip: bool) -> AgentReply:
    """The reply that a server's answer makes; its bytes as they came where nothing is changed."""
    if answer.status != 200:
        too_long = error_code(answer.data) == OVERFLOW_CODE
        result = RequestResult.CONTEXT_OVERFLOW if too_long else RequestResult.REFUSED
        return AgentReply(answer.status, answer.body, result)
    body, data = answer.body, answer.data
    result = RequestResult.SWALLOWED if is_swallowed(data) else RequestResult.ANSWERED
    if strip:
        stripped = [strip_reasoning(choice["message"]) for choice in data["choices"]]
        if any(stripped):
            body = json.dumps(data).encode()
    return AgentReply(200, body, result, read_tokens(data))


def error_body(message: str, kind: str, code: int) -> bytes:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def too_long_answer(refusal: UpstreamAnswer) -> UpstreamAnswer:
    """A server's refusal of a prompt that is too long, in the words and with the code that agents
    know, whatever its own were."""
    text = refusal.words
    if OVERFLOW_WORDS not in text:
        text = f"The prompt exceeds the model's {OVERFLOW_WORDS}: {text}"
    error = {"message": text, "type": "invalid_request_error", "code": OVERFLOW_CODE}
    data = {"error": {"param": "messages", **error}}
    return UpstreamAnswer(400, json.dumps(data).encode(), data)


@dataclass
class StreamTally:
    """Reads a stream of events as they pass, and changes what the profile wants changed."""

    strip: bool
    usage_was_asked: bool
    """Whether the agent asked for it. The gateway always asks, and hides it from who did not."""
    first_token_at: float | None = None
    tokens: Tokens = field(default_factory=Tokens)
    finished: bool = False
    """A finish_reason came: nothing that matters is missing."""
    _actionable: bool = False
    _reasoned: bool = False
    _start: str = ""
    """Content so far, while it may be a thought."""
    _start_is_over: bool = False

    def take(self, event: bytes) -> bytes:
        """The event as the agent gets it; empty where it gets nothing."""
        data = read_event(event)
        if not isinstance(data, dict):
            return event
        if data.get("usage"):
            self.tokens = read_tokens(data)
        found = data.get("choices")
        choices = [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []
        for choice in choices:
            self._read(choice)
        if not choices and "usage" in data and not self.usage_was_asked:
            return b""
        stripped = [self._strip(_delta(choice)) for choice in choices if self.strip]
        if any(stripped):
            return b"data: " + json.dumps(data).encode() + b"\n\n"
        return event

    @property
    def result(self) -> RequestResult:
        reasoned = self._reasoned or self.tokens.reasoning_tokens > 0
        swallowed = reasoned and not self._actionable
        return RequestResult.SWALLOWED if swallowed else RequestResult.ANSWERED

    def _read(self, choice: dict[str, Any]) -> None:
        delta = _delta(choice)
        self.finished |= is_end(choice.get("finish_reason"))
        self._actionable |= is_actionable(delta)
        self._reasoned |= has_reasoning(delta)
        if self.first_token_at is None and (is_actionable(delta) or has_reasoning(delta)):
            self.first_token_at = time.monotonic()

    def _strip(self, delta: dict[str, Any]) -> bool:
        """Hold content back while it is a leading <think> block, or may become one."""
        found = has_reasoning(delta)
        if found:
            strip_reasoning(delta)
        content = delta.get("content")
        if not isinstance(content, str) or not content or self._start_is_over:
            return found
        self._start += content
        text = self._start.lstrip()
        is_thought, tag = text.startswith("<think>"), "<think>"
        if is_thought and "</think>" in text:
            delta["content"] = text.partition("</think>")[2].lstrip()
        elif is_thought or tag.startswith(text):
            delta["content"] = ""
            return True
        else:
            delta["content"] = self._start
        self._start_is_over = True
        return True


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    delta = choice.get("delta")
    return delta if isinstance(delta, dict) else {}
