"""The gateway in simulated time: its real policy and meter, before a simulated server.

What `turns`, `exchange` and `server` do with futures and sockets, this does with a timeline. Probes
are requests for one token, and wait in the engine's queue like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from orchestrator.endpoint.load import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.meter import Meter
from orchestrator.gateway.policy import Policy
from orchestrator.gateway.server import QUIET_WITH_METRICS_S, QUIET_WITHOUT_S
from orchestrator.gateway.states import Ticket
from orchestrator.gateway.upstreams import PROBE_TIMEOUT_S
from orchestrator.types import FailureKind, ModelRequest, RequestResult, RolloutKey
from simulation.simulated_night import PlannedStep
from simulation.simulated_outages import (
    KEEPALIVE_S,
    Outage,
    Refusal,
    Timeline,
    Trouble,
    UnsteadyServer,
)
from simulation.vllm_simulator import SimulatedAnswer

URL = "http://simulated/v1"
PROBE = -1
"""The probes' number among rollouts."""
Reply = Callable[[FailureKind | None, float], None]
"""Takes what kept the answer away, if anything did, and the seconds that the call took."""


@dataclass(eq=False)
class _Call:
    """What an agent asked, until it has its reply."""

    ticket: Ticket
    step: PlannedStep
    reply: Reply
    attempt: int = 0
    """Tells events of an attempt that is over from those of the one under way."""


@dataclass
class Waits:
    """Where requests spent time that was no answer's. Seconds, all requests together."""

    held_s: float = 0.0
    queue_s: float = 0.0
    probes: int = 0
    lost: int = 0
    down: list[tuple[float, float]] = field(default_factory=list)
    """When the gateway saw no server: from, to."""


class SimulatedGateway:
    """Agents `ask`, and are called back. `pump` is to be called after whatever happened."""

    def __init__(
        self,
        timeline: Timeline,
        server: UnsteadyServer,
        *,
        max_outage_s: float,
        max_tries: int = 6,
        request_timeout_s: float = 900.0,
        sees_metrics: bool = True,
        seed: int = 0,
    ) -> None:
        quiet_s = QUIET_WITH_METRICS_S if sees_metrics else QUIET_WITHOUT_S
        self.policy = Policy([URL], max_outage_s, quiet_s, max_tries, Random(f"policy/{seed}"))
        self.waits = Waits()
        self.down_since: float | None = None
        self._timeline = timeline
        self._server = server
        self._request_timeout_s = request_timeout_s
        self._sees_metrics = sees_metrics
        self._meter = Meter()
        self._calls: dict[int, _Call] = {}
        self._held_s: defaultdict[int, float] = defaultdict(float)
        """Of calls that are over."""
        self._probe = 0
        self._probes_out = False
        self._reading = server.metrics() or ServerMetrics()
        self._sampled_at, self._down_s, self._outages = timeline.now, 0.0, 0

    # the agents' side

    def ask(self, rollout: int, step: PlannedStep, reply: Reply) -> None:
        call = _Call(Ticket(str(rollout), self._timeline.now), step, reply)
        self._calls[rollout] = call
        self.policy.arrive(call.ticket, self._timeline.now)

    def held_s(self, rollout: int) -> float:
        """What the rollout waited so far on no limit's account."""
        call = self._calls.get(rollout)
        waits = self.policy.not_counted_s(call.ticket, self._timeline.now) if call else 0.0
        return self._held_s[rollout] + waits

    def quiet_s(self, rollout: int) -> float:
        call = self._calls.get(rollout)
        return self.policy.quiet_for_s(call.ticket, self._timeline.now) if call else 0.0

    def drop(self, rollout: int) -> None:
        """The rollout has ended."""
        call = self._calls.pop(rollout, None)
        if call is not None:
            self.policy.abandoned(call.ticket, self._timeline.now)
            self._server.server.abort(rollout)
        self.policy.forget(str(rollout))
        self._meter.forget(str(rollout))
        self._held_s.pop(rollout, None)

    # the server's side

    def suffer(self, outage: Outage) -> None:
        """Put an outage on the timeline."""
        self._timeline.at(outage.start_s, lambda: self._begin(outage))
        self._timeline.at(outage.end_s, self._end_outage)

    def _begin(self, outage: Outage) -> None:
        why = self._server.begin(outage.trouble)
        if why:
            self._lose_all(why)
        if outage.trouble is Trouble.SILENCE and outage.seconds > KEEPALIVE_S:
            self._timeline.after(KEEPALIVE_S, lambda: self._lose_all("no answer in time"))

    def _end_outage(self) -> None:
        for answer in self._server.end():
            self.answered(answer)

    def _lose_all(self, why: str) -> None:
        self._server.forget_undelivered()
        if self._probes_out:
            self._end_probe(self._probe, why)
        for rollout, call in list(self._calls.items()):
            if call.ticket.phase == "sent":
                self._lose(rollout, call, call.attempt, why)

    def answered(self, answer: SimulatedAnswer) -> None:
        """An answer reached the gateway."""
        if answer.rollout == PROBE:
            self._end_probe(self._probe, "")
            return
        call = self._calls.get(answer.rollout)
        if call is not None and call.ticket.phase == "sent":
            self.policy.answered(call.ticket, self._timeline.now)
            self._end(answer.rollout, call, None)

    # what the policy says

    def pump(self) -> None:
        now = self._timeline.now
        for ticket in self.policy.expired(now):
            rollout = int(ticket.rollout)
            self._end(rollout, self._calls[rollout], FailureKind.ENDPOINT_UNAVAILABLE)
        for ticket in self.policy.granted(now):
            self._send(int(ticket.rollout))
        for _ in self.policy.due_probes(now):
            self._start_probe()
        self._note_whether_down(now)

    def next_s(self) -> float:
        """When to pump though nothing happened."""
        wakeup = self.policy.wakeup(self._timeline.now)
        assert wakeup is None or wakeup > self._timeline.now, "time would stand still"
        return float("inf") if wakeup is None else wakeup

    def _note_whether_down(self, now: float) -> None:
        if self.policy.is_down and self.down_since is None:
            self.down_since = now
        elif not self.policy.is_down and self.down_since is not None:
            self.waits.down.append((self.down_since, now))
            self.down_since = None

    def _send(self, rollout: int) -> None:
        call = self._calls[rollout]
        call.attempt += 1
        attempt, refusal = call.attempt, self._server.refusal
        if refusal is not None:
            after_s = refusal.after_s
            self._timeline.after(after_s, lambda: self._refused(rollout, call, attempt, refusal))
            return
        self._server.server.submit(rollout, call.step.prompt_tokens, call.step.answer_tokens)
        self._timeline.after(
            self._request_timeout_s,
            lambda: self._lose(rollout, call, attempt, "no answer in time"),
        )

    def _refused(self, rollout: int, call: _Call, attempt: int, refusal: Refusal) -> None:
        if not refusal.is_busy:
            self._lose(rollout, call, attempt, refusal.why)
        elif call.attempt == attempt and call.ticket.phase == "sent":
            self.policy.busy(call.ticket, self._timeline.now)

    def _lose(self, rollout: int, call: _Call, attempt: int, why: str) -> None:
        if call.attempt != attempt or call.ticket.phase != "sent":
            return
        self.waits.lost += 1
        self._server.server.abort(rollout)
        if not self.policy.lost(call.ticket, why, self._timeline.now):
            self._end(rollout, call, FailureKind.REQUEST_REFUSED)

    def _end(self, rollout: int, call: _Call, failure: FailureKind | None) -> None:
        del self._calls[rollout]
        ticket, step = call.ticket, call.step
        self._held_s[rollout] += ticket.held_s + ticket.queue_s
        self.waits.held_s += ticket.held_s
        self.waits.queue_s += ticket.queue_s
        total_s = self._timeline.now - ticket.arrived_at
        record = ModelRequest(
            key=RolloutKey("a-night", ticket.rollout, 1),
            result=RequestResult.FAILED if failure else RequestResult.ANSWERED,
            server=ticket.server,
            status=502 if failure else 200,
            started_at=ticket.arrived_at,
            total_s=total_s,
            queue_s=ticket.queue_s,
            held_s=ticket.held_s,
            retries=ticket.tries + ticket.rejections,
            prompt_tokens=step.prompt_tokens,
            completion_tokens=step.answer_tokens,
        )
        self._meter.add(ticket.rollout, record)
        call.reply(failure, total_s)

    def _start_probe(self) -> None:
        self._probe += 1
        self.waits.probes += 1
        self._probes_out = True
        number, refusal = self._probe, self._server.refusal
        if refusal is not None:
            self._timeline.after(refusal.after_s, lambda: self._end_probe(number, refusal.why))
            return
        self._server.server.submit(PROBE, 10, 1)
        self._timeline.after(PROBE_TIMEOUT_S, lambda: self._end_probe(number, "no answer in time"))

    def _end_probe(self, number: int, problem: str) -> None:
        if number != self._probe or not self._probes_out:
            return
        self._probes_out = False
        self._server.server.abort(PROBE)
        self.policy.probed(URL, problem, self._timeline.now)

    # what is told

    def sample(self) -> LoadSample:
        """What happened since the last one."""
        now = self._timeline.now
        down_s = self.policy.down_s(now)
        sampled = self._meter.sample(
            seconds=now - self._sampled_at,
            waiting=self.policy.waiting,
            states=self.policy.states(),
            down_s=down_s - self._down_s,
            outages=self.policy.outages - self._outages,
            server=self._read_server() if self._sees_metrics else None,
        )
        self._sampled_at, self._down_s, self._outages = now, down_s, self.policy.outages
        return sampled

    def _read_server(self) -> ServerMetrics | None:
        reading = self._server.metrics()
        if reading is None:
            return None
        grown, self._reading = reading.since(self._reading), reading
        if grown.generation_tokens or grown.prompt_tokens:
            self.policy.alive(URL, self._timeline.now)
        return grown
