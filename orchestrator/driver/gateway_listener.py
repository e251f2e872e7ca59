"""What the gateway tells, taken to the journal, the admission and the scheduler."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

from orchestrator.driver.admission import Admission, Sample
from orchestrator.driver.engine import ModelStatus, Remark
from orchestrator.driver.scheduler import Scheduler, Stage
from orchestrator.endpoint.fields import SWALLOWED
from orchestrator.gateway.messages import Availability, Listening, Message, Requested, Sampled
from orchestrator.journal import Journal
from orchestrator.journal.model_requests import TraceRow
from orchestrator.types import ModelRequest, RequestResult

FLUSH_EVERY_S = 2.0


class GatewayHandle(Protocol):
    """A gateway, as far as the driver listens to it."""

    def base_url(self, instance_id: str, attempt: int) -> str: ...

    def forget(self, instance_id: str, attempt: int) -> None: ...

    def poll(self) -> list[Message]: ...


class GatewayListener:
    """Listens once a turn of the driver's loop."""

    def __init__(
        self,
        gateway: GatewayHandle,
        journal: Journal,
        scheduler: Scheduler,
        admission: Admission | None,
        max_outage_s: float,
    ) -> None:
        """Without an admission as many rollouts are admitted as there are slots."""
        self._gateway = gateway
        self._journal = journal
        self._scheduler = scheduler
        self._admission = admission
        self._max_outage_s = max_outage_s
        self._requests: list[ModelRequest] = []
        self._samples: list[TraceRow] = []
        self._flushed_at = time.monotonic()
        self._down_since: float | None = None
        self._swallowed = False
        self._ready = False
        self._limit()

    def listen(self) -> Iterator[Remark | ModelStatus]:
        """Take in what the gateway has said; what a person should know of it."""
        for message in self._gateway.poll():
            if isinstance(message, Requested):
                yield from self._requested(message.request)
            elif isinstance(message, Sampled):
                yield from self._sampled(message)
            elif isinstance(message, Availability):
                yield from self._availability(message)
            elif isinstance(message, Listening):
                yield from self._started()
        yield from self._give_up()
        if time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Bring to the journal what it has not got yet."""
        self._journal.append_traffic(self._requests, self._samples)
        self._requests, self._samples = [], []
        self._flushed_at = time.monotonic()

    def _requested(self, request: ModelRequest) -> Iterator[Remark]:
        self._requests.append(request)
        if request.result is RequestResult.SWALLOWED and not self._swallowed:
            self._swallowed = True
            yield Remark(SWALLOWED)

    def _sampled(self, told: Sampled) -> Iterator[ModelStatus]:
        rollouts = len(self._scheduler.running(Stage.ROLLOUT))
        self._samples.append(_trace_row(told, rollouts, self._scheduler.admitted))
        if self._admission is not None:
            self._admission.observe(admission_sample(told, rollouts))
            self._limit()
        why = self._admission.reason if self._admission is not None else "as many as slots"
        yield ModelStatus(f"{_words(told)}; up to {self._scheduler.admitted} rollouts ({why})")

    def _started(self) -> Iterator[Remark]:
        """A new gateway takes every server to be up, and says so where one is not."""
        if self._ready:
            yield Remark("the gateway was started again; see gateway.log in the run's folder")
            yield from self._availability(Availability(down=False))
        self._ready = True

    def _availability(self, told: Availability) -> Iterator[Remark]:
        was_away = self._scheduler.endpoint_away
        self._scheduler.endpoint_away = "; ".join(told.notes) if told.down else ""
        if told.down and self._down_since is None:
            self._down_since = time.monotonic()
        elif not told.down:
            self._down_since = None
            if was_away:
                yield Remark("the model server is back: what was held goes on")
            elif told.notes:
                yield Remark(f"one model server is away: {'; '.join(told.notes)}")

    def _give_up(self) -> Iterator[Remark]:
        """End a run whose model stays away: it is better resumed than left waiting for ever."""
        since = self._down_since
        if since is None or self._scheduler.stopping:
            return
        if time.monotonic() - since >= self._max_outage_s:
            self._scheduler.stopping = True
            hours = self._max_outage_s / 3600
            yield Remark(
                f"no model server was up for {hours:.3g} h (endpoint.max_outage_s): the run ends "
                "here, and can be resumed when one is"
            )

    def _limit(self) -> None:
        if self._admission is not None:
            self._scheduler.rollout_limit = self._admission.limit


def admission_sample(told: Sampled, rollouts: int) -> Sample:
    """What the admission may judge by, with so many rollouts under way."""
    return Sample(
        seconds=told.seconds,
        rollouts=rollouts,
        answers=told.answers,
        grown_tokens=told.grown_tokens,
        latency_s=told.latency_s,
        held=told.down_s > 0 or told.waiting > 0,
        server=told.server,
    )


def _trace_row(told: Sampled, rollouts: int, admitted: int) -> TraceRow:
    server = told.server
    return TraceRow(
        **told.model_dump(exclude={"server"}),
        rollouts=rollouts,
        admitted=admitted,
        running=server.running if server else None,
        server_waiting=server.waiting if server else None,
        kv_usage=server.kv_usage if server else None,
        preemptions=server.preemptions if server else None,
        prefix_queries=server.prefix_queries if server else None,
        prefix_hits=server.prefix_hits if server else None,
    )


def _words(told: Sampled) -> str:
    """`model: 12 answers a minute, 310 tokens/s, KV cache 64 % full, 91 % of prompts cached`."""
    seconds = max(told.seconds, 1e-9)
    words = [
        f"model: {60 * told.answers / seconds:.0f} answers a minute",
        f"{told.completion_tokens / seconds:.0f} tokens/s",
    ]
    if told.server is not None:
        words.append(f"KV cache {told.server.kv_usage:.0%} full")
        if told.server.prefix_queries:
            hits = told.server.prefix_hits / told.server.prefix_queries
            words.append(f"{hits:.0%} of prompts cached")
    return ", ".join(words)
