"""A simulated server that has its troubles, and the clock that they and everything else run on.

What breaks is what a gateway may see of a server, its host and the network between: connections
that are refused or reset, errors, an engine that hangs behind a door that still opens, a network
that swallows packets, a full queue, a restart after which the cache is cold.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.upstreams import CONNECT_TIMEOUT_S
from simulation.vllm_simulator import SimulatedAnswer, SimulatedServer

KEEPALIVE_S = 60.0
"""After so long TCP gives up a connection whose peer is silent (see `upstreams.DEAD_PEER_S`)."""


class Trouble(StrEnum):
    """What is wrong while the server is away."""

    RESTART = "restart"
    """Its process is gone: requests are reset, connections refused, cache and counters empty."""
    REFUSED = "refused"
    """New connections are refused; what is under way is answered."""
    RESETS = "resets"
    """All connections are reset, and then refused."""
    ERRORS = "errors"
    """HTTP 500 to everything, under way or new."""
    HANG = "hang"
    """The engine stands still and then goes on; connections are taken all the time."""
    SILENCE = "silence"
    """Packets are swallowed: connecting takes its whole timeout, answers come late or never."""
    FULL = "full"
    """New requests get 503; what is under way is answered."""


SHORT = tuple(trouble for trouble in Trouble if trouble is not Trouble.RESTART)
"""What passes by itself."""


@dataclass(frozen=True)
class Outage:
    """Trouble that begins and ends, on the night's clock."""

    trouble: Trouble
    start_s: float
    seconds: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.seconds


@dataclass(frozen=True)
class Refusal:
    """How an attempt that is not taken ends."""

    why: str
    after_s: float
    is_busy: bool = False
    reached: bool = True


_REFUSALS = {
    Trouble.RESTART: Refusal("connection refused", 0.01, reached=False),
    Trouble.REFUSED: Refusal("connection refused", 0.01, reached=False),
    Trouble.RESETS: Refusal("connection refused", 0.01, reached=False),
    Trouble.ERRORS: Refusal("HTTP 500", 0.05),
    Trouble.SILENCE: Refusal("no connection in time", CONNECT_TIMEOUT_S, reached=False),
    Trouble.FULL: Refusal("HTTP 503", 0.05, is_busy=True),
}


class Timeline:
    """What is going to happen, in the order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    @property
    def next_s(self) -> float:
        return self._coming[0][0] if self._coming else float("inf")

    def at(self, time_s: float, do: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._coming, (time_s, self._order, do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self.at(self.now + seconds, do)

    def run_due(self) -> None:
        while self._coming and self._coming[0][0] <= self.now:
            heapq.heappop(self._coming)[2]()


class UnsteadyServer:
    """A simulated server behind a door that may be shut."""

    def __init__(self, server: SimulatedServer) -> None:
        self.server = server
        self.trouble: Trouble | None = None
        self._undelivered: list[SimulatedAnswer] = []

    @property
    def refusal(self) -> Refusal | None:
        """What becomes of an attempt now; None: it is taken."""
        return _REFUSALS.get(self.trouble) if self.trouble else None

    def begin(self, trouble: Trouble) -> str:
        """Why all that is under way is lost at once; empty where it isn't."""
        self.trouble = trouble
        if trouble is Trouble.HANG:
            self.server.hang(True)
        if trouble is Trouble.RESTART:
            self.server.crash()
        if trouble in (Trouble.RESTART, Trouble.RESETS):
            return "connection reset"
        return "HTTP 500" if trouble is Trouble.ERRORS else ""

    def end(self) -> list[SimulatedAnswer]:
        """All is well again; answers that were on their way."""
        if self.trouble is Trouble.HANG:
            self.server.hang(False)
        self.trouble = None
        late, self._undelivered = self._undelivered, []
        return late

    def forget_undelivered(self) -> None:
        self._undelivered = []

    def advance(self, until_s: float) -> list[SimulatedAnswer]:
        """Go on; returns the answers that reached the rollouts."""
        answers = self.server.advance(until_s)
        if self.trouble is Trouble.SILENCE:
            self._undelivered += answers
            return []
        return answers

    def metrics(self) -> ServerMetrics | None:
        """What /metrics says, where it can be read: a hanging engine's door still shows it."""
        if self.trouble in (None, Trouble.HANG, Trouble.FULL):
            return self.server.metrics()
        return None


def draw_outages(
    night_s: float,
    seed: int,
    *,
    long_s: float = 2400.0,
    restart_s: float = 90.0,
    short: int = 20,
    troubles: Sequence[Trouble] = SHORT,
) -> list[Outage]:
    """Outages of one night: a long one, a restart, and short ones of 3 s to 3 minutes, none at the
    same time as another."""
    random = Random(f"outages/{seed}")
    wanted = [(Trouble.RESTART, long_s), (Trouble.RESTART, restart_s)]
    wanted += [(troubles[n % len(troubles)], random.uniform(3.0, 180.0)) for n in range(short)]
    wanted = [(trouble, seconds) for trouble, seconds in wanted if seconds > 0]
    random.shuffle(wanted)
    gaps = list(_gaps(random, len(wanted), 0.85 * night_s - sum(s for _, s in wanted)))
    outages, now = [], 0.05 * night_s
    for (trouble, seconds), gap in zip(wanted, gaps, strict=True):
        outages.append(Outage(trouble, now + gap, seconds))
        now = outages[-1].end_s
    return outages


def _gaps(random: Random, count: int, total_s: float) -> Iterator[float]:
    """Between points drawn uniformly; some are short."""
    points = sorted(random.uniform(0.0, total_s) for _ in range(count))
    return (b - a for a, b in zip([0.0, *points], points, strict=False))
