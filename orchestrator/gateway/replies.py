"""Answers on their way to the agent: what is read off them, and what is changed in them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from orchestrator.endpoint.answers import StreamedChoice, normalise, read_json
from orchestrator.endpoint.fields import (
    Tokens,
    error_code,
    has_reasoning,
    is_actionable,
    is_end,
    is_swallowed,
    read_tokens,
)
from orchestrator.endpoint.overflow import OVERFLOW_CODE
from orchestrator.endpoint.thoughts import strip_reasoning
from orchestrator.gateway.events import event_data
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
    changed, thought = normalise(data), is_swallowed(data)
    if strip:
        stripped = [strip_reasoning(choice["message"]) for choice in data["choices"]]
        changed |= any(stripped)
        said = any(is_actionable(choice["message"]) for choice in data["choices"])
        thought |= any(stripped) and not said
    if changed:
        body = json.dumps(data).encode()
    result = RequestResult.SWALLOWED if thought else RequestResult.ANSWERED
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
    """Reads a stream of events as they pass, and changes what has to be changed in them."""

    strip: bool
    """Whether thoughts are taken out: the content then comes with the last event, as a whole."""
    usage_was_asked: bool
    """Whether the agent asked for it. The gateway always asks, and hides it from who did not."""
    first_token_at: float | None = None
    tokens: Tokens = field(default_factory=Tokens)
    finished: bool = False
    """A finish_reason came: nothing that matters is missing."""
    _actionable: bool = False
    _reasoned: bool = False
    _choices: dict[str, StreamedChoice] = field(default_factory=dict)
    _contents: dict[str, list[str]] = field(default_factory=dict)
    """What is held back of each choice, by its index."""

    def take(self, event: bytes) -> bytes:
        """The event as the agent gets it; empty where it gets nothing."""
        data, is_strict = read_json(event_data(event))
        if not isinstance(data, dict):
            return event
        if data.get("usage"):
            self.tokens = read_tokens(data)
        found = data.get("choices")
        choices = [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []
        changed = [self._take_choice(choice) for choice in choices]
        if not choices and "usage" in data and not self.usage_was_asked:
            return b""
        if any(changed) or not is_strict:
            return b"data: " + json.dumps(data).encode() + b"\n\n"
        return event

    @property
    def result(self) -> RequestResult:
        reasoned = self._reasoned or self.tokens.reasoning_tokens > 0
        swallowed = reasoned and not self._actionable
        return RequestResult.SWALLOWED if swallowed else RequestResult.ANSWERED

    def _take_choice(self, choice: dict[str, Any]) -> bool:
        """Read it and bring it into form, in place; whether anything was changed."""
        place = str(choice.get("index"))
        changed = self._choices.setdefault(place, StreamedChoice()).take(choice)
        delta = choice["delta"]
        self.finished |= is_end(choice.get("finish_reason"))
        self._reasoned |= has_reasoning(delta)
        if self.first_token_at is None and (is_actionable(delta) or has_reasoning(delta)):
            self.first_token_at = time.monotonic()
        if self.strip:
            changed |= self._strip(choice, self._contents.setdefault(place, []))
        self._actionable |= is_actionable(delta)
        return changed

    def _strip(self, choice: dict[str, Any], held: list[str]) -> bool:
        """Hold content back until it has ended: a thought may be closed late, and never opened."""
        delta = choice["delta"]
        content = delta.get("content")
        if content:
            held.append(content)
            delta["content"] = ""
        changed = strip_reasoning(delta) or bool(content)
        if choice.get("finish_reason") is None or not held:
            return changed
        whole = {"content": "".join(held)}
        held.clear()
        self._reasoned |= strip_reasoning(whole)
        delta["content"] = whole["content"]
        return True
