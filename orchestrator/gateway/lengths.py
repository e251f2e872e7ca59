"""What prompts the servers took so far, and whether one that they refuse is too long for them."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrator.config.schema import Model
from orchestrator.endpoint.fields import with_profile
from orchestrator.endpoint.overflow import (
    MAY_BE_LENGTH,
    Prompt,
    cut_to_the_bone,
    estimate_tokens,
    without_its_middle,
)
from orchestrator.gateway.exchange import RequestFailed
from orchestrator.gateway.upstreams import Lost, UpstreamAnswer, Upstreams
from orchestrator.types import ModelRequest

log = logging.getLogger("gateway")
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
        if said == "yes":
            return True
        if not (refusal.status in MAY_BE_LENGTH or refusal.status >= 500):
            return False
        body = json.dumps(with_profile(self._model, asked), separators=(",", ":"))
        estimate = estimate_tokens(len(body), self._known.get(rollout))
        prompt = Prompt(estimate, await self._context(url), self._longest)
        if said == "perhaps" and (prompt.fills_context or prompt.is_longest):
            return True
        too_long = await self._is_taken_when_shorter(asked, prompt, ask)
        log.warning(
            "%s: a request of some %d tokens was refused (%s); it %s its length",
            *(rollout, estimate, refusal.words[:200], "is for" if too_long else "is not for"),
        )
        return too_long

    async def _is_taken_when_shorter(
        self, asked: Mapping[str, Any], prompt: Prompt, ask: Ask
    ) -> bool:
        """Whether servers take the same conversation when it is shorter, and length explains it."""
        messages = asked.get("messages")
        if not isinstance(messages, list):
            return False
        shorter = without_its_middle(messages)
        may_be = prompt.fills_context or prompt.is_longest
        # what is left holds all that servers had not taken before: only length is different
        if shorter is not None and may_be and await self._is_taken(asked, shorter, ask):
            return True
        # a text that is cut may have held what the server minds, so the context must be known
        return prompt.fills_context and await self._is_taken(
            asked, cut_to_the_bone(shorter or messages), ask
        )

    async def _is_taken(self, asked: Mapping[str, Any], messages: list[Any], ask: Ask) -> bool:
        body = with_profile(self._model, {**asked, "messages": messages, "stream": False})
        body["max_tokens"] = max(1, body.get("min_tokens") or 1)
        for name in ("max_completion_tokens", "stream_options"):
            body.pop(name, None)
        try:
            answer = await ask(json.dumps(body, separators=(",", ":")).encode())
        except RequestFailed:
            return False
        return answer.status == 200

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
