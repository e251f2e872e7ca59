"""When a request may go to which server: a pure state machine over (events, clock).

The health of a server and the fate of a request are two things. An attempt that fails at a server
which can be reached is tried again, and meanwhile a probe asks the server for one real token. Only
where that fails too, and nobody else is answered, the server is away; else the request was to
blame. A server is away as well when it can't be reached, or gives no sign of life while requests
wait for it.

Away, it gets no request but a probe now and then; if it gives no sign of life and another server is
up, what is there already goes to that one. When a token comes back the waiting requests go out,
oldest first, a few at once and doubling (as a TCP sender starts slowly, RFC 5681), so that a server
with a cold cache is not met by all of them together.

A server that is up and says that its queue is full is *busy*: it gets no more at once than it had
then, and one more with every few answers.

A rollout stays with one server while that is up, because its prefix is cached there.

Times are seconds on any one clock that does not go backwards.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.gateway.spans import Span, total_s
from orchestrator.gateway.states import Probed, Server, ServerState, Suspicion, Ticket

MAX_PROBE_S = 5.0
FIRST_BUSY_S = 1.0
MAX_BUSY_S = 15.0
BUSY_GROWTH = 0.25
"""By how much each answer raises what a busy server gets at once."""
MAX_REJECTIONS = 240
"""How often a request may be turned away though others are not: for about an hour."""


@dataclass
class Policy:
    """Which request goes where, and when."""

    urls: Sequence[str]
    max_outage_s: float
    """How long requests are held while no server is up."""
    quiet_s: float = 30.0
    """How long a server that has requests may give no sign of life before it is probed."""
    max_tries: int = 6
    """Attempts lost at servers that were up, before the request itself is to blame."""
    rng: random.Random = field(default_factory=random.Random)
    _servers: dict[str, Server] = field(init=False)
    _queue: list[Ticket] = field(init=False, default_factory=list)
    _homes: dict[str, str] = field(init=False, default_factory=dict)
    """Rollout to the server that has its prefix."""
    _down_since: float | None = field(init=False, default=None)
    _down_before: float = field(init=False, default=0.0)
    outages: int = field(init=False, default=0)
    """How often no server was up."""

    def __post_init__(self) -> None:
        self._servers = {url: Server(url) for url in self.urls}

    # what happens

    def arrive(self, ticket: Ticket, now: float) -> None:
        """A request came in, or comes back after a lost attempt; `granted` says when it goes."""
        self._wait(ticket, now)

    def answered(self, ticket: Ticket, now: float, alive: bool = True) -> None:
        """An attempt was answered. `alive`: by the engine, not only by its HTTP server."""
        server = self._end_attempt(ticket, now)
        if not alive:
            return
        server.cap += BUSY_GROWTH
        server.turned_away = None
        self._sign_of_life(server, now)

    def lost(
        self, ticket: Ticket, why: str, now: float, again: bool = True, reached: bool = True
    ) -> bool:
        """An attempt failed. Returns whether the request is held and tried again.

        With `again` False it is not: the agent has half of an answer already. `reached`: there was
        a server at all.
        """
        server = self._end_attempt(ticket, now, in_vain=True)
        ticket.tries += 1
        if reached:
            self._suspect(server, ticket, why, now)
        else:
            self._mark_away(server, why, now, now)
        if not again or max(ticket.faults, ticket.deaths) >= self.max_tries:
            return False
        ticket.not_before = now + self._delay_s(ticket.tries)
        self._wait(ticket, now)
        return True

    def busy(self, ticket: Ticket, now: float) -> bool:
        """The server turned the request away: it has enough to do. Returns whether to try again.

        A server that has nothing of ours to do may turn it away `max_tries` times.
        """
        server = self._end_attempt(ticket, now)
        ticket.rejections += 1
        ticket.not_before = now + self._delay_s(ticket.rejections)
        if not server.in_flight:
            # none of our requests keeps it busy: it may be broken
            self._suspect(server, ticket, "it takes no requests", now)
        elif server.turned_away in (None, ticket):
            server.turned_away = ticket  # it may mind this one alone
        else:
            server.cap = min(server.cap, server.in_flight)
        if ticket.faults >= self.max_tries or ticket.rejections >= MAX_REJECTIONS:
            return False
        self._wait(ticket, now)
        return True

    def recalled(self, ticket: Ticket, now: float) -> None:
        """An attempt at a server that hangs was given up, for another server."""
        self._end_attempt(ticket, now, in_vain=True)
        ticket.tries += 1
        ticket.left.add(ticket.server)
        self._wait(ticket, now)

    def abandoned(self, ticket: Ticket, now: float) -> None:
        """The agent hung up."""
        if ticket.phase == "waits":
            self._stop_waiting(ticket, now)
        elif ticket.phase == "sent":
            self._end_attempt(ticket, now)

    def alive(self, url: str, now: float) -> bool:
        """Tokens came, or the server's counters of them grew: its engine works.

        Returns whether it seemed to hang before.
        """
        server = self._servers[url]
        was_stalled = server.stalled
        self._sign_of_life(server, now)
        return was_stalled

    def probed(self, url: str, probed: Probed, now: float) -> None:
        """A probe ended."""
        server = self._servers[url]
        server.probing, server.probe_failed = False, False
        suspicion, server.suspected = server.suspected, None
        if not probed.problem:
            server.alive_at = now
            self._mark_up(server, now)
            return
        if server.away_since is None:
            works = server.in_flight and now - server.quiet_since < self.quiet_s
            if server.alive_at > server.probe_sent_at or (works and not probed.is_clear):
                return  # it answers others, or is at work on them
            self._give_up(server, suspicion, probed.problem, now)
        server.probe_failed = True
        server.probe_delay_s = min(1.5 * server.probe_delay_s, MAX_PROBE_S)
        server.probe_at = now + self._jitter(server.probe_delay_s)

    # what to do

    def granted(self, now: float) -> list[Ticket]:
        """Requests that may go now, each with its `server`; they count as sent."""
        if not self._queue:
            return []
        sent: list[Ticket] = []
        for ticket in [t for t in self._queue if t.not_before <= now]:
            server = self._choose(ticket.rollout, now)
            if server is None:
                continue
            self._stop_waiting(ticket, now)
            ticket.phase, ticket.server, ticket._since = "sent", server.url, now
            if server.in_flight == 0:
                server.busy_since = now
            server.tickets.add(ticket)
            server.released += 1
            sent.append(ticket)
        if not self._queue:
            for server in self._servers.values():
                server.cap = math.inf
        return sent

    def expired(self, now: float) -> list[Ticket]:
        """Requests that were held for `max_outage_s`; they stop waiting."""
        if self._down_since is None or now - self._down_since < self.max_outage_s:
            return []
        gone = list(self._queue)
        for ticket in gone:
            self._stop_waiting(ticket, now)
        return gone

    def to_recall(self, now: float) -> list[Ticket]:
        """Requests to give up where they are, for a server that is up and was not tried yet."""
        up = {s.url for s in self._servers.values() if s.away_since is None}
        gone = [s for s in self._servers.values() if s.away_since is not None and s.probe_failed]
        quiet = [server for server in gone if now - server.quiet_since >= self.quiet_s]
        return [ticket for server in quiet for ticket in server.tickets if up - ticket.left]

    def due_probes(self, now: float) -> list[str]:
        """Servers to ask for a token now: those away or suspected, those with requests and no sign
        of life."""
        due = []
        for server in self._servers.values():
            quiet = server.in_flight > 0 and now - server.quiet_since >= self.quiet_s
            wanted = quiet or server.away_since is not None or server.suspected is not None
            if wanted and not server.probing and server.probe_at <= now:
                server.probing, server.probe_sent_at = True, now
                due.append(server.url)
        return due

    def wakeup(self, now: float) -> float | None:
        """When to look again though nothing happened; None where nothing would."""
        times: list[float] = []
        for server in self._servers.values():
            if server.probing:
                pass
            elif server.away_since is not None or server.suspected is not None:
                times.append(server.probe_at)
            elif server.in_flight:
                times.append(max(server.quiet_since + self.quiet_s, server.probe_at))
            release = server.next_release(now)
            if self._queue and release is not None:
                times.append(release)
        times += [t.not_before for t in self._queue if t.not_before > now]
        if self._queue and self._down_since is not None:
            times.append(self._down_since + self.max_outage_s)
        return min(times, default=None)

    # what is known

    @property
    def away(self) -> frozenset[str]:
        """Base URLs of the servers that are away."""
        return frozenset(s.url for s in self._servers.values() if s.away_since is not None)

    @property
    def is_down(self) -> bool:
        """No server is up."""
        return all(server.away_since is not None for server in self._servers.values())

    def down_s(self, now: float) -> float:
        """Seconds for which no server was up, all outages together."""
        return self._down_before + (now - self._down_since if self._down_since is not None else 0.0)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def not_counted(self, ticket: Ticket, now: float) -> list[Span]:
        """When, so far, the request was on its way and no limit's time passed."""
        if ticket.phase == "waits":
            return [*ticket.not_counted, (ticket._since, now)]
        if ticket.phase == "sent":
            return [*ticket.not_counted, *self._stuck(ticket, now)]
        return ticket.not_counted

    def quiet_for_s(self, ticket: Ticket, now: float) -> float:
        """Since the last sign of life of the server that the request is at; 0 where it is at none,
        or at one that is known to be away."""
        server = self._servers.get(ticket.server)
        if server is None or ticket.phase != "sent" or server.away_since is not None:
            return 0.0
        return now - server.quiet_since

    def states(self) -> list[ServerState]:
        return [
            ServerState(s.url, s.in_flight, s.away_since, s.why, s.outages)
            for s in self._servers.values()
        ]

    def forget(self, rollout: str) -> None:
        """A rollout has ended."""
        self._homes.pop(rollout, None)

    # inside

    def _wait(self, ticket: Ticket, now: float) -> None:
        ticket.phase, ticket._since, ticket._clock = "waits", now, self.down_s(now)
        self._queue.append(ticket)
        self._queue.sort(key=lambda t: t.arrived_at)

    def _stop_waiting(self, ticket: Ticket, now: float) -> None:
        waited = now - ticket._since
        held = min(waited, self.down_s(now) - ticket._clock)
        ticket.phase = "over"
        ticket.held_s += held
        ticket.queue_s += waited - held
        ticket.not_counted.append((ticket._since, now))
        self._queue.remove(ticket)

    def _end_attempt(self, ticket: Ticket, now: float, in_vain: bool = False) -> Server:
        """An attempt is over; where it was in vain, it was so from its start."""
        server = self._servers[ticket.server]
        server.tickets.discard(ticket)
        ticket.phase = "over"
        spans = [(ticket._since, now)] if in_vain else self._stuck(ticket, now)
        ticket.not_counted += spans
        ticket.held_s += total_s(spans)
        return server

    def _stuck(self, ticket: Ticket, now: float) -> list[Span]:
        """Of the attempt under way: when its server was away."""
        return self._servers[ticket.server].away_between(ticket._since, now)

    def _suspect(self, server: Server, ticket: Ticket, why: str, now: float) -> None:
        """Of several attempts that fail together, the first is to blame until the probe says."""
        server.probe_at = min(server.probe_at, now)
        if server.away_since is None and server.suspected is None:
            ticket.faults += 1
            server.suspected = Suspicion(ticket, now, why)

    def _choose(self, rollout: str, now: float) -> Server | None:
        """The rollout's own server while that is up; else the one with the fewest rollouts."""
        home = self._servers.get(self._homes.get(rollout, ""))
        if home is None or home.away_since is not None:
            up = [s for s in self._servers.values() if s.away_since is None]
            if not up:
                return None
            homes = list(self._homes.values())
            home = min(up, key=lambda s: homes.count(s.url))
        if not home.has_room(now):
            return None
        self._homes[rollout] = home.url
        return home

    def _give_up(
        self, server: Server, suspicion: Suspicion | None, problem: str, now: float
    ) -> None:
        """A probe has shown that a server is away, since it seemed to be."""
        if suspicion is not None:
            suspicion.ticket.faults -= 1  # the server was at fault
            suspicion.ticket.deaths += 1
            self._mark_away(server, suspicion.why, now, suspicion.since)
        else:
            server.stalled = True
            self._mark_away(server, f"no sign of life ({problem})", now, server.quiet_since)

    def _mark_away(self, server: Server, why: str, now: float, since: float) -> None:
        if server.away_since is not None:
            return
        server.go_away(why, now, since)
        if server.suspected is not None:
            server.suspected.ticket.faults -= 1
        server.suspected, server.probe_failed = None, False
        if self.is_down:
            self.outages += 1
            self._down_since = max(s.away_since or 0.0 for s in self._servers.values())

    def _sign_of_life(self, server: Server, now: float) -> None:
        """Brings a server back that seemed to hang; one that failed is probed first."""
        server.alive_at = now
        if server.stalled:
            self._mark_up(server, now)
        elif server.away_since is not None:
            server.probe_at = now

    def _mark_up(self, server: Server, now: float) -> None:
        if server.away_since is None:
            return
        if self.is_down and self._down_since is not None:
            self._down_before += now - self._down_since
            self._down_since = None
        server.come_back(now)

    def _delay_s(self, times: int) -> float:
        """Until the next try, after so many."""
        return self._jitter(min(FIRST_BUSY_S * 2.0 ** min(times - 1, 10), MAX_BUSY_S))

    def _jitter(self, seconds: float) -> float:
        return self.rng.uniform(0.5, 1.0) * seconds
