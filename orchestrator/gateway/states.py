"""What the policy decides about: requests on their way, and servers as they seem to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.gateway.spans import Span, within

FIRST_PROBE_S = 1.0
RAMP_S = 2.0
"""How long the number of requests that go out after an outage takes to double."""


@dataclass(eq=False)
class Ticket:
    """One request on its way. Only the policy writes it."""

    rollout: str
    arrived_at: float
    server: str = ""
    """Where its attempt is or was; empty before the first."""
    tries: int = 0
    """Attempts that were lost."""
    faults: int = 0
    """Those of them for which the request itself may be to blame."""
    deaths: int = 0
    """Attempts that were the first to fail at a server which then proved to be away."""
    rejections: int = 0
    """Attempts that a busy server turned away."""
    left: set[str] = field(default_factory=set)
    """Servers that it was recalled from, as they gave no sign of life."""
    queue_s: float = 0.0
    """Waited while a server was up."""
    held_s: float = 0.0
    """Waited while none was, or lost with one that went away."""
    not_counted: list[Span] = field(default_factory=list)
    """When it waited, or was at a server in vain: against no limit's account."""
    not_before: float = 0.0
    _since: float = 0.0
    """When it began to wait, or was sent."""
    _clock: float = 0.0
    """Seconds without any server that had been counted when it began to wait."""
    phase: Literal["waits", "sent", "over"] = "over"


@dataclass(frozen=True)
class Suspicion:
    """The first attempt that failed at a server, while nobody knows which of them is to blame."""

    ticket: Ticket
    since: float
    why: str


@dataclass
class Server:
    """What the policy knows of one server, and writes."""

    url: str
    tickets: set[Ticket] = field(default_factory=set)
    """Requests that are there."""
    away_since: float | None = None
    why: str = ""
    stalled: bool = False
    past: list[Span] = field(default_factory=list)
    """When it was away, in outages that are over."""
    outages: int = 0
    back_at: float = -math.inf
    released: int = 0
    """Requests sent since it came back."""
    cap: float = math.inf
    turned_away: Ticket | None = None
    """The first request that it turned away since it last answered."""
    alive_at: float = 0.0
    """Its last sign of life."""
    busy_since: float = 0.0
    """It has had requests since then, or had its last one."""
    probe_at: float = 0.0
    probe_delay_s: float = FIRST_PROBE_S
    probing: bool = False
    probe_sent_at: float = 0.0
    probe_failed: bool = False
    """The last one."""
    suspected: Suspicion | None = None
    """An attempt failed there: a probe has to show whether the server is at fault."""

    @property
    def quiet_since(self) -> float:
        """Since when it should have given a sign of life, if it has requests."""
        return max(self.alive_at, self.busy_since)

    @property
    def in_flight(self) -> int:
        return len(self.tickets)

    def away_between(self, start: float, now: float) -> list[Span]:
        """When it was away since `start`."""
        current = [] if self.away_since is None else [(self.away_since, now)]
        return within([*self.past, *current], start, now)

    def go_away(self, why: str, now: float, since: float) -> None:
        self.away_since, self.why = since, why
        self.outages += 1
        self.probe_at, self.probe_delay_s = now, FIRST_PROBE_S

    def come_back(self, now: float) -> None:
        assert self.away_since is not None
        oldest = min((ticket._since for ticket in self.tickets), default=now)
        self.past = [span for span in [*self.past, (self.away_since, now)] if span[1] > oldest]
        self.away_since, self.why, self.stalled = None, "", False
        self.back_at, self.released, self.cap = now, 0, math.inf
        self.probe_at = now

    def has_room(self, now: float) -> bool:
        if self.away_since is not None or self.in_flight + 1 > self.cap:
            return False
        return self.released < self._ramp(now)

    def _ramp(self, now: float) -> float:
        doublings = (now - self.back_at) / RAMP_S
        return math.inf if doublings > 12 else 2 ** math.floor(doublings)

    def next_release(self, now: float) -> float | None:
        """When the ramp lets more through."""
        if self.away_since is not None or math.isinf(self._ramp(now)):
            return None
        return self.back_at + RAMP_S * (math.floor((now - self.back_at) / RAMP_S) + 1)


@dataclass(frozen=True)
class Probed:
    """What came of asking a server for one token."""

    problem: str = ""
    """Empty where a token came back."""
    is_clear: bool = True
    """False where the problem may be of a server that works, and has much to do."""


@dataclass(frozen=True)
class ServerState:
    """What a person may want to know of a server."""

    url: str
    in_flight: int
    away_since: float | None
    why: str
    outages: int
