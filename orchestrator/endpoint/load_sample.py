"""What the model servers had to do over one interval: the gateway counts it, the driver adds what
it knows, the journal keeps it, and the report draws it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.endpoint.metrics import ServerMetrics


@dataclass(frozen=True)
class LoadSample:
    """What happened over one interval. Tokens and seconds."""

    at: float
    """Seconds since the epoch, at its end."""
    seconds: float
    answers: int
    """Requests answered in it."""
    grown_tokens: int
    """By how much conversations grew: work that counts, whatever a cache did."""
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    """Mean of the answers, held time left out; 0 where there were none."""
    in_flight: int
    waiting: int
    """Requests that the gateway held at its end."""
    down_s: float
    """Of the interval: no server was up."""
    outages: int = 0
    """That began in it."""
    server: ServerMetrics | None = None
    """Counters as their growth over the interval, gauges at its end; None where servers show no
    such metrics. The journal keeps six of them."""
    rollouts: int = 0
    """Under way at its end. The driver fills this in, and `admitted`."""
    admitted: int = 0
    """How many might have been under way."""

    @property
    def is_disturbed(self) -> bool:
        """Servers were away, or requests waited: the numbers don't show what servers can do."""
        return self.down_s > 0 or self.waiting > 0
