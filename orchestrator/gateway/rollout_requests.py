"""One rollout's requests at the gateway: those under way, and how long they were held so far."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.gateway.exchange import Exchange
from orchestrator.gateway.spans import Span, merged, total_s
from orchestrator.gateway.turns import Turns


class RolloutRequests:
    """What the gateway knows of a rollout while it lasts."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._under_way: dict[Exchange, asyncio.Task[Any]] = {}
        """Each with the task that serves it."""
        self._not_counted: list[Span] = []
        """Of requests that are over."""

    @contextmanager
    def under_way(self, exchange: Exchange) -> Iterator[None]:
        """Within it, the current task serves the exchange; its turn is given back in any case."""
        task = asyncio.current_task()
        assert task is not None
        self._under_way[exchange] = task
        try:
            yield
        finally:
            del self._under_way[exchange]
            self._turns.abandoned(exchange.ticket)
            self._not_counted = merged([*self._not_counted, *exchange.ticket.not_counted])

    def held_s(self) -> float:
        """Seconds that count against no limit: a moment counts once, however many requests were
        held in it."""
        now, policy = self._turns.now, self._turns.policy
        spans = (policy.not_counted(exchange.ticket, now) for exchange in self._under_way)
        return total_s([*self._not_counted, *(span for some in spans for span in some)])

    def quiet_s(self) -> float:
        """Since the last sign of life of a server that has one of the requests; the longest."""
        now, policy = self._turns.now, self._turns.policy
        quiet = (policy.quiet_for_s(exchange.ticket, now) for exchange in self._under_way)
        return max(quiet, default=0.0)

    def cancel(self) -> None:
        """Drop what is under way; nothing of it is sent any more."""
        for exchange, task in self._under_way.items():
            self._turns.abandoned(exchange.ticket)
            task.cancel()
