"""What requests cost: totals by rollout, samples over intervals, and numbers for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.states import ServerState
from orchestrator.types import ModelRequest

LATENCY_BUCKETS_S = (0.25, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280)


class Meter:
    """Counts requests as they end. One thread."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        """`wall_clock` gives seconds since the epoch."""
        self._wall_clock = wall_clock
        self._answers: list[ModelRequest] = []
        self._grown_tokens = 0
        """Both since the last sample."""
        self._conversations: dict[str, int] = {}
        """Rollout to the tokens of its conversation after the last answer."""
        self._prometheus = _PrometheusMetrics()

    def add(self, rollout: str, request: ModelRequest) -> None:
        """Take in a request that has ended."""
        self._prometheus.add(request)
        if not request.result.is_answer:
            return
        tokens = request.prompt_tokens + request.completion_tokens
        before = self._conversations.get(rollout, 0)
        self._conversations[rollout] = tokens
        # a conversation that got shorter was cut by its agent: only the answer is new
        self._grown_tokens += tokens - before if tokens >= before else request.completion_tokens
        self._answers.append(request)

    def forget(self, rollout: str) -> None:
        self._conversations.pop(rollout, None)

    def sample(
        self,
        seconds: float,
        waiting: int,
        states: Iterable[ServerState],
        down_s: float,
        outages: int,
        server: ServerMetrics | None,
    ) -> LoadSample:
        """The interval that ends now; the next one begins."""
        answers, grown_tokens = self._answers, self._grown_tokens
        self._answers, self._grown_tokens = [], 0
        return LoadSample(
            at=self._wall_clock(),
            seconds=seconds,
            answers=len(answers),
            grown_tokens=grown_tokens,
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
            latency_s=sum(a.served_s for a in answers) / len(answers) if answers else 0.0,
            in_flight=sum(state.in_flight for state in states),
            waiting=waiting,
            down_s=down_s,
            outages=outages,
            server=server,
        )

    def exposition(self, waiting: int, states: Iterable[ServerState]) -> bytes:
        """The gateway's own /metrics, in Prometheus's text format."""
        return self._prometheus.exposition(waiting, states)


@dataclass
class _PrometheusMetrics:
    """The gateway's metrics, in a registry of its own."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        def make(kind: Callable[..., object], name: str, text: str, *labels: str, **more: object):  # type: ignore[no-untyped-def]
            return kind(f"gateway_{name}", text, labels, registry=self.registry, **more)

        self._requests: Counter = make(
            Counter, "requests", "Requests of agents, by how they ended.", "result"
        )
        self._tokens: Counter = make(
            Counter, "tokens", "Tokens as the servers counted them.", "kind"
        )
        self._retries: Counter = make(Counter, "retries", "Attempts that were tried again.")
        self._held: Counter = make(
            Counter, "held_seconds", "Time of requests in which servers were away."
        )
        self._latency: Histogram = make(
            Histogram,
            "request_seconds",
            "Answers, without the time in which they were held.",
            buckets=LATENCY_BUCKETS_S,
        )
        self._waiting: Gauge = make(Gauge, "requests_waiting", "Requests that are held.")
        self._in_flight: Gauge = make(
            Gauge, "requests_in_flight", "Requests at a server.", "server"
        )
        self._up: Gauge = make(Gauge, "server_up", "Whether a server is up.", "server")
        self._outages: Gauge = make(Gauge, "server_outages", "Times it went away.", "server")

    def add(self, request: ModelRequest) -> None:
        self._requests.labels(request.result.value).inc()
        self._retries.inc(request.retries)
        self._held.inc(request.held_s)
        if request.result.is_answer:
            self._latency.observe(request.served_s)
            self._tokens.labels("prompt").inc(request.prompt_tokens)
            self._tokens.labels("prompt_cached").inc(request.cached_tokens or 0)
            self._tokens.labels("completion").inc(request.completion_tokens)

    def exposition(self, waiting: int, states: Iterable[ServerState]) -> bytes:
        self._waiting.set(waiting)
        for state in states:
            self._in_flight.labels(state.url).set(state.in_flight)
            self._up.labels(state.url).set(state.away_since is None)
            self._outages.labels(state.url).set(state.outages)
        return generate_latest(self.registry)
