"""One chat completion that an agent asked for: sent on, waited for, and handed back."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from orchestrator.config.schema import Model
from orchestrator.endpoint.fields import with_profile
from orchestrator.gateway.events import stream_error
from orchestrator.gateway.exchange import Exchange, RequestFailed
from orchestrator.gateway.lengths import Lengths, encode
from orchestrator.gateway.replies import (
    FAILED,
    StreamTally,
    error_body,
    make_reply,
    too_long_answer,
)
from orchestrator.gateway.rollout_requests import RolloutRequests
from orchestrator.gateway.upstreams import (
    EventStream,
    Lost,
    UpstreamAnswer,
    Upstreams,
    answer_of_error,
)
from orchestrator.types import ModelRequest, RequestResult

A = TypeVar("A", bound=UpstreamAnswer | EventStream)
Served = tuple[web.StreamResponse, ModelRequest]
"""What the agent got, and the record of it."""


class AgentRequest:
    """Serves one request, whole or as a stream."""

    def __init__(
        self,
        asked: dict[str, Any],
        exchange: Exchange,
        model: Model,
        upstreams: Upstreams,
        rollout: RolloutRequests,
        lengths: Lengths,
    ) -> None:
        """`asked` is the body that the agent sent."""
        self._asked = asked
        self._exchange = exchange
        self._turns = exchange.turns
        self._model = model
        self._upstreams = upstreams
        self._rollout = rollout
        self._lengths = lengths

    async def serve(self, request: web.Request) -> Served:
        """Ask servers, and answer the agent's HTTP request.

        Raises:
            OutageTooLong: it was held for `max_outage_s`.
            RequestFailed: servers that were up failed at it, time and again.
        """
        if self._asked.get("stream"):
            return await self._stream(request)
        body = encode(with_profile(self._model, self._asked))
        answer = await self._ask(lambda url: self._upstreams.ask(url, body))
        served = self._reply(answer)
        self._lengths.answered(self._exchange.ticket.rollout, body, served[1])
        return served

    async def _ask(self, ask: Callable[[str], Awaitable[A]]) -> A | UpstreamAnswer:
        """An answer, or a refusal; one that is for the prompt's length says so."""
        exchange = self._exchange
        try:
            answer: A | UpstreamAnswer = await exchange.attempt(ask)
        except RequestFailed as failed:
            if failed.answer is None or not await self._is_too_long(failed.answer):
                raise
            return too_long_answer(failed.answer)
        if not isinstance(answer, UpstreamAnswer):
            return answer
        self._turns.answered(exchange.ticket, alive=answer.status == 200)
        if answer.status != 200 and await self._is_too_long(answer):
            return too_long_answer(answer)
        return answer

    async def _is_too_long(self, refusal: UpstreamAnswer) -> bool:
        ticket = self._exchange.ticket
        return await self._lengths.is_too_long(
            ticket.rollout, self._asked, refusal, ticket.server, self._ask_beside
        )

    async def _ask_beside(self, body: bytes) -> UpstreamAnswer:
        """Another question of the gateway's own, with its own turn; nobody's tokens."""
        exchange = Exchange(self._exchange.ticket.rollout, self._turns)
        with self._rollout.under_way(exchange):
            answer = await exchange.attempt(lambda url: self._upstreams.ask(url, body))
            self._turns.answered(exchange.ticket, alive=answer.status == 200)
            return answer

    async def _stream(self, request: web.Request) -> Served:
        options = self._asked.get("stream_options")
        options = options if isinstance(options, dict) else {}
        tally = StreamTally(self._strips, bool(options.get("include_usage")))
        asked = self._asked | {"stream_options": {**options, "include_usage": True}}
        body = encode(with_profile(self._model, asked))
        stream = await self._ask(lambda url: self._upstreams.stream(url, body))
        if isinstance(stream, UpstreamAnswer):
            return self._reply(stream)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with contextlib.closing(stream):
            await response.prepare(request)
            broken = await self._pass_through(stream, response, tally)
        if broken is None:
            self._turns.answered(self._exchange.ticket, alive=True)
            record = self._exchange.record(tally.result, 200, tally.tokens, tally.first_token_at)
            self._lengths.answered(self._exchange.ticket.rollout, body, record)
            return response, record
        # half of it is with the agent: it can't be tried again behind its back
        result, error = await self._half_an_answer(broken)
        await response.write(b"data: " + error.body + b"\n\n")
        return response, self._exchange.record(result, error.status, tally.tokens)

    async def _half_an_answer(self, broken: UpstreamAnswer) -> tuple[RequestResult, UpstreamAnswer]:
        """How a request ends that can't be tried again, and the last event that its agent gets."""
        ticket = self._exchange.ticket
        if await self._lengths.broke_off_for_length(
            ticket.rollout, self._asked, broken, ticket.server
        ):
            self._turns.answered(ticket, alive=True)
            return RequestResult.CONTEXT_OVERFLOW, too_long_answer(broken)
        self._turns.lost(ticket, broken.words, again=False)
        return RequestResult.FAILED, answer_of_error(error_body(broken.words, FAILED, 502))

    async def _pass_through(
        self, stream: EventStream, response: web.StreamResponse, tally: StreamTally
    ) -> UpstreamAnswer | None:
        """Hand events on as they come; why the stream broke off, or None."""
        why = "the stream ended without a finish_reason"
        try:
            async for event in stream.events():
                if not tally.finished and (error := stream_error(event)) is not None:
                    return answer_of_error(error)
                self._turns.alive(self._exchange.ticket.server)
                await response.write(tally.take(event))
        except Lost as lost:
            why = str(lost)
        return None if tally.finished else answer_of_error(error_body(why, FAILED, 502))

    def _reply(self, answer: UpstreamAnswer) -> Served:
        reply = make_reply(answer, self._strips)
        response = web.Response(
            status=reply.status, body=reply.body, content_type="application/json"
        )
        return response, self._exchange.record(reply.result, reply.status, reply.tokens)

    @property
    def _strips(self) -> bool:
        return self._model.reasoning == "strip"
