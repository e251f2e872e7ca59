"""What prompts the servers took so far, and whether one that they refuse is too long for them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrator.config.schema import Model
from orchestrator.endpoint.fields import with_profile
from orchestrator.endpoint.overflow import (
    Prompt,
    cut_to_the_bone,
    estimate_tokens,
    may_be_for_length,
    without_its_middle,
)
from orchestrator.errors import one_line
from orchestrator.gateway.exchange import RequestFailed
from orchestrator.gateway.upstreams import Lost, UpstreamAnswer, Upstreams
from orchestrator.types import ModelRequest

log = logging.getLogger("gateway")
PATIENCE_S = 300.0
"""For each question about a length; what is not known by then is not for its length."""
Ask = Callable[[bytes], Awaitable[UpstreamAnswer]]
"""Asks a server, with turns and tries like any request's. Raises RequestFailed."""


class Lengths:
    """Lengths of the requests that were answered, and questions about one that was not."""

    def __init__(self, model: Model, upstreams: Upstreams) -> None:
        self._model = model
        self._upstreams = upstreams
        self._known: dict[str, tuple[int, int]] = {}
        """Rollout to the bytes and the tokens of its last prompt that was answered."""
        self._longest = 0

    def answered(self, rollout: str, body: bytes, record: ModelRequest) -> None:
        """Take in a request that is over: what servers were sent, and what came of it."""
        if record.result.is_answer:
            self._known[rollout] = (len(body), record.prompt_tokens)
            self._longest = max(self._longest, record.prompt_tokens)

    def forget(self, rollout: str) -> None:
        self._known.pop(rollout, None)

    async def is_too_long(
        self, rollout: str, asked: Mapping[str, Any], refusal: UpstreamAnswer, url: str, ask: Ask
    ) -> bool:
        """Whether servers refuse a request for its length.

        `refusal` is the last word of the server at `url`. `asked` is what the agent sent.
        """
        said = refusal.says_too_long
        if said == "no" and not may_be_for_length(refusal.status):
            return False
        prompt = await self._measure(rollout, asked, url)
        if prompt.is_asked_too_much:
            return False
        too_long = said == "yes" or await self._is_taken_when_shorter(asked, prompt, refusal, ask)
        log.warning(
            "%s: %s refused some %d tokens (%s); %s the length",
            *(rollout, url, prompt.estimate, one_line(refusal.words, 200)),
            "it is for" if too_long else "it is not for",
        )
        return too_long

    async def broke_off_for_length(
        self, rollout: str, asked: Mapping[str, Any], error: UpstreamAnswer, url: str
    ) -> bool:
        """Whether a stream ended with an error since the context was full."""
        said = error.says_too_long
        if said != "perhaps":
            return said == "yes"
        return (await self._measure(rollout, asked, url)).may_be_too_long

    async def _is_taken_when_shorter(
        self, asked: Mapping[str, Any], prompt: Prompt, refusal: UpstreamAnswer, ask: Ask
    ) -> bool:
        """Whether servers take the same conversation when it is shorter, and length explains it."""
        messages = asked.get("messages")
        if not isinstance(messages, list):
            return False
        shorter = without_its_middle(messages)
        by_middle = shorter is not None and prompt.may_be_too_long
        # a text that is cut may have held what the server minds: more must speak for the length
        words_alone = prompt.nothing_is_known and refusal.says_too_long == "perhaps"
        by_text = prompt.fills_context or words_alone
        if not (by_middle or by_text):
            return False
        # servers fail over what they generate, too: then they take the whole for one token
        one_token = refusal.status >= 500
        if one_token and await self._is_taken(asked, messages, ask, one_token):
            return False
        if (
            by_middle
            and shorter is not None
            and await self._is_taken(asked, shorter, ask, one_token)
        ):
            return True
        bare = cut_to_the_bone(shorter or messages)
        return by_text and await self._is_taken(asked, bare, ask, one_token)

    async def _is_taken(
        self, asked: Mapping[str, Any], messages: list[Any], ask: Ask, one_token: bool
    ) -> bool:
        """Whether servers answer the request with these messages, with a token or as it is."""
        body = with_profile(self._model, {**asked, "messages": messages, "stream": False})
        body.pop("stream_options", None)
        if one_token:
            body["max_tokens"] = max(1, body.get("min_tokens") or 1)
            body.pop("max_completion_tokens", None)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await ask(encode(body))).status == 200
        except (RequestFailed, TimeoutError):
            return False

    async def _measure(self, rollout: str, asked: Mapping[str, Any], url: str) -> Prompt:
        body = with_profile(self._model, asked)
        answer = body.get("max_completion_tokens") or body.get("max_tokens")
        return Prompt(
            estimate_tokens(len(encode(body)), self._known.get(rollout)),
            await self._context(url),
            self._longest,
            answer if isinstance(answer, int) else 0,
        )

    async def _context(self, url: str) -> int | None:
        """Tokens that fit, by the profile and by what the server says of itself: the lesser."""
        known = [self._model.context_length]
        try:
            listed = json.loads((await self._upstreams.models(url)).body)["data"]
            mine = [m for m in listed if m["id"] == self._model.served_name]
            known += [m.get("max_model_len") for m in mine]
        except (Lost, ValueError, KeyError, TypeError, AttributeError):
            pass  # it does not say
        return min((n for n in known if isinstance(n, int) and n > 0), default=None)


def encode(body: Mapping[str, Any]) -> bytes:
    """A request's body, as small as JSON makes it."""
    return json.dumps(body, separators=(",", ":")).encode()
