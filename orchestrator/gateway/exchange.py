"""One request's way through the gateway: its turns, its attempts, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator.endpoint.fields import Tokens
from orchestrator.gateway.messages import parse_rollout_segment
from orchestrator.gateway.states import Ticket
from orchestrator.gateway.turns import Recalled, Turns
from orchestrator.gateway.upstreams import Busy, Lost, Unreachable, UpstreamAnswer
from orchestrator.types import ModelRequest, RequestResult

T = TypeVar("T")
NO_TOKENS = Tokens()


class RequestFailed(Exception):
    """Servers that were up failed at this request, time and again."""

    def __init__(self, message: str, answer: UpstreamAnswer | None) -> None:
        super().__init__(message)
        self.answer = answer
        """The last error that one of them answered with; None where the last gave no answer."""


class Exchange:
    """What an agent asked, until it has its answer."""

    def __init__(self, rollout: str, turns: Turns) -> None:
        self.ticket = Ticket(rollout, turns.now)
        self.turns = turns
        self._started_at = time.time()
        self._began = time.monotonic()
        self._sent = self._began

    async def attempt(self, ask: Callable[[str], Awaitable[T]]) -> T:
        """Ask servers by their base URL, each in turn, until one has answered.

        Raises:
            OutageTooLong: the request was held for `max_outage_s`.
            RequestFailed: servers that were up failed at it `max_tries` times.
        """
        while True:
            await self.turns.wait(self.ticket)
            self._sent = time.monotonic()
            why: Lost | Busy
            try:
                async with self.turns.attempt(self.ticket):
                    return await ask(self.ticket.server)
            except Recalled:
                continue
            except Busy as busy:
                may_retry, why = self.turns.busy(self.ticket), busy
            except Lost as lost:
                reached = not isinstance(lost, Unreachable)
                may_retry, why = self.turns.lost(self.ticket, str(lost), reached=reached), lost
            if not may_retry:
                tries = f"{self.ticket.tries + self.ticket.rejections} attempts came to nothing"
                raise RequestFailed(f"{tries}, the last one: {why}", why.answer)

    def record(
        self,
        result: RequestResult,
        status: int,
        tokens: Tokens = NO_TOKENS,
        first_token_at: float | None = None,
    ) -> ModelRequest:
        """The request as it ends now. `first_token_at` is of the monotonic clock."""
        ticket = self.ticket
        return ModelRequest(
            key=parse_rollout_segment(self.ticket.rollout),
            result=result,
            server=ticket.server,
            status=status,
            started_at=self._started_at,
            total_s=time.monotonic() - self._began,
            queue_s=ticket.queue_s,
            held_s=ticket.held_s,
            first_token_s=first_token_at - self._sent if first_token_at is not None else None,
            retries=ticket.tries + ticket.rejections,
            prompt_tokens=tokens.prompt_tokens,
            cached_tokens=tokens.cached_tokens,
            completion_tokens=tokens.completion_tokens,
            reasoning_tokens=tokens.reasoning_tokens,
        )
