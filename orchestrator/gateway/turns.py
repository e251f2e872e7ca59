"""Requests wait here for their turn: the policy's decisions, with real time, probes and futures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orchestrator.gateway.messages import Availability
from orchestrator.gateway.policy import Policy
from orchestrator.gateway.states import Probed, Ticket
from orchestrator.gateway.upstreams import Upstreams

log = logging.getLogger("gateway")


class OutageTooLong(Exception):
    """No server was up for as long as requests are held."""


class Recalled(Exception):
    """The attempt was given up: its server hangs, and another one is up."""


class Turns:
    """One event loop's use of a policy."""

    def __init__(
        self, policy: Policy, upstreams: Upstreams, on_change: Callable[[Availability], None]
    ) -> None:
        self.policy = policy
        self._upstreams = upstreams
        self._on_change = on_change
        self._futures: dict[Ticket, asyncio.Future[None]] = {}
        self._attempts: dict[Ticket, asyncio.Timeout] = {}
        """Each ends its attempt when its time is set."""
        self._timer: asyncio.TimerHandle | None = None
        self._probes: set[asyncio.Task[None]] = set()
        self._reported_away: frozenset[str] = frozenset()
        """Servers that are away, as last reported."""

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def wait(self, ticket: Ticket) -> None:
        """Return when the request may go to the ticket's `server`.

        Raises:
            OutageTooLong: it was held for `max_outage_s`.
        """
        if ticket.phase == "over":
            self.policy.arrive(ticket, self.now)
        self.pump()
        if ticket.phase == "sent":
            return
        if ticket.phase == "over":
            raise OutageTooLong
        future = asyncio.get_running_loop().create_future()
        self._futures[ticket] = future
        try:
            await future
        finally:
            self._futures.pop(ticket, None)

    def answered(self, ticket: Ticket, alive: bool) -> None:
        self.policy.answered(ticket, self.now, alive)
        self.pump()

    @asynccontextmanager
    async def attempt(self, ticket: Ticket) -> AsyncIterator[None]:
        """Within it, the request is at the ticket's server. Raises Recalled where it is given up
        there; then it waits for its turn again."""
        try:
            async with asyncio.timeout(None) as until:
                self._attempts[ticket] = until
                yield
        except TimeoutError:
            if not until.expired():
                raise
            log.warning("%s: %s hangs: on to another", ticket.rollout, ticket.server)
            self.policy.recalled(ticket, self.now)
            raise Recalled from None
        finally:
            self._attempts.pop(ticket, None)

    def lost(self, ticket: Ticket, why: str, again: bool = True, reached: bool = True) -> bool:
        """Whether the request may be tried again, by another `wait`."""
        log.warning("%s: %s lost its request: %s", ticket.rollout, ticket.server, why)
        may_retry = self.policy.lost(ticket, why, self.now, again, reached)
        self.pump()
        return may_retry

    def busy(self, ticket: Ticket) -> bool:
        """Whether the request may be tried again, by another `wait`."""
        may_retry = self.policy.busy(ticket, self.now)
        self.pump()
        return may_retry

    def abandoned(self, ticket: Ticket) -> None:
        self.policy.abandoned(ticket, self.now)
        self.pump()

    def alive(self, url: str) -> None:
        if self.policy.alive(url, self.now):
            self.pump()

    def expect_life_within(self, quiet_s: float) -> None:
        """How long a server that has requests may be silent; counts for those under way too."""
        if quiet_s != self.policy.quiet_s:
            self.policy.quiet_s = quiet_s
            self.pump()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for probe in self._probes:
            probe.cancel()

    def pump(self) -> None:
        """Do what the policy says is due, and set a timer for what comes next."""
        now = self.now
        for ticket in self.policy.expired(now):
            self._resolve(ticket, OutageTooLong())
        for ticket in self.policy.to_recall(now):
            # not there: a stream that is with the agent already, or one that is being recalled
            if (attempt := self._attempts.pop(ticket, None)) is not None:
                attempt.reschedule(now)
        for ticket in self.policy.granted(now):
            self._resolve(ticket, None)
        for url in self.policy.due_probes(now):
            probe = asyncio.create_task(self._probe(url))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)
        self._report_changes()
        if self._timer is not None:
            self._timer.cancel()
        due = self.policy.wakeup(now)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due, self.pump) if due is not None else None

    def _resolve(self, ticket: Ticket, error: Exception | None) -> None:
        future = self._futures.get(ticket)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    async def _probe(self, url: str) -> None:
        try:
            probed = await self._upstreams.probe(url)
        except Exception as error:
            log.exception("%s: a bug in its probe", url)
            probed = Probed(f"{type(error).__name__}: {error}", is_clear=False)
        self.policy.probed(url, probed, self.now)
        self.pump()

    def _report_changes(self) -> None:
        """Say when a server went away or came back."""
        urls = self.policy.away
        if urls == self._reported_away:
            return
        for url in urls - self._reported_away:
            log.warning("%s is away", url)
        for url in self._reported_away - urls:
            log.warning("%s is back", url)
        self._reported_away = urls
        self._on_change(availability(self.policy))


def availability(policy: Policy) -> Availability:
    """The policy's servers in one message: whether any is up, and which are away."""
    away = [state for state in policy.states() if state.away_since is not None]
    notes = tuple(f"{state.url}: {state.why}" for state in away)
    return Availability(down=policy.is_down, notes=notes)
