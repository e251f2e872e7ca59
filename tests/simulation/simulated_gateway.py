"""The gateway in simulated time: its real policy, meter and messages, before a simulated server.

What `turns`, `exchange` and `server` do with futures and sockets, this does with a timeline. Probes
are requests for one token, and wait in the engine's queue like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.messages import (
    Message,
    Requested,
    Sampled,
    parse_rollout_segment,
    rollout_segment,
)
from orchestrator.gateway.meter import Meter
from orchestrator.gateway.policy import Policy
from orchestrator.gateway.server import QUIET_WITH_METRICS_S, QUIET_WITHOUT_S
from orchestrator.gateway.spans import total_s
from orchestrator.gateway.states import Probed, Ticket
from orchestrator.gateway.turns import availability
from orchestrator.gateway.upstreams import PROBE_TIMEOUT_S
from orchestrator.types import FailureKind, ModelRequest, RequestResult, RolloutKey
from simulation.planned_rollouts import PlannedStep
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
SAMPLE_S = 10.0
PROBE = -1
"""The probes' number among rollouts."""
Reply = Callable[[FailureKind | None, float], None]
"""Takes what kept the answer away, if anything did, and the seconds that the call took."""

UNCLEAR = ("no answer in time", "HTTP 503")
"""Problems of a probe that a server which works may give it, too."""


@dataclass(eq=False)
class _Call:
    """What an agent asked, until it has its reply."""

    key: RolloutKey
    ticket: Ticket
    step: PlannedStep
    reply: Reply
    attempt: int = 0
    """Tells events of an attempt that is over from those of the one under way."""

    @property
    def number(self) -> int:
        """The server's name for the rollout."""
        return int(self.key.instance_id)


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
    """Implements `driver.gateway_listener.GatewayHandle`.

    Agents `ask`, and are called back. `pump` is to be called after whatever happened.
    """

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
        self.has_news = False
        """There are messages for the driver of other things than requests."""
        self._messages: list[Message] = []
        self._timeline = timeline
        self._server = server
        self._request_timeout_s = request_timeout_s
        self._sees_metrics = sees_metrics
        self._meter = Meter(lambda: timeline.now)
        self._calls: dict[RolloutKey, _Call] = {}
        self._held_s: defaultdict[RolloutKey, float] = defaultdict(float)
        """Of calls that are over."""
        self._probe = 0
        self._probes_out = False
        self._reading = server.metrics() or ServerMetrics()
        self._sampled_at, self._down_s, self._outages = timeline.now, 0.0, 0
        self._reported_away: frozenset[str] = frozenset()
        self._down_since: float | None = None
        timeline.after(SAMPLE_S, self._sample)

    # the driver's side

    def base_url(self, key: RolloutKey) -> str:
        return f"http://gateway/r/{rollout_segment(key)}/v1"

    def poll(self) -> list[Message]:
        said, self._messages, self.has_news = self._messages, [], False
        return said

    def forget(self, key: RolloutKey) -> None:
        """The rollout has ended."""
        rollout = rollout_segment(key)
        call = self._calls.pop(key, None)
        if call is not None:
            self.policy.abandoned(call.ticket, self._timeline.now)
            self._server.server.abort(call.number)
            self.pump()
        self.policy.forget(rollout)
        self._meter.forget(rollout)
        self._held_s.pop(key, None)

    # the agents' side

    def ask(self, key: RolloutKey, step: PlannedStep, reply: Reply) -> None:
        call = _Call(key, Ticket(rollout_segment(key), self._timeline.now), step, reply)
        self._calls[key] = call
        self.policy.arrive(call.ticket, self._timeline.now)
        self.pump()

    def held_s(self, key: RolloutKey) -> float:
        """What the rollout waited so far on no limit's account."""
        call = self._calls.get(key)
        waits = self.policy.not_counted(call.ticket, self._timeline.now) if call else []
        return self._held_s[key] + total_s(waits)

    def quiet_s(self, key: RolloutKey) -> float:
        call = self._calls.get(key)
        return self.policy.quiet_for_s(call.ticket, self._timeline.now) if call else 0.0

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
        for call in list(self._calls.values()):
            if call.ticket.phase == "sent":
                self._lose(call, call.attempt, why)

    def answered(self, answer: SimulatedAnswer) -> None:
        """An answer reached the gateway."""
        if answer.rollout == PROBE:
            self._end_probe(self._probe, "")
            return
        for call in self._calls.values():
            if call.number == answer.rollout and call.ticket.phase == "sent":
                self.policy.answered(call.ticket, self._timeline.now)
                self._end(call, answer)
                return

    # what the policy says

    def pump(self) -> None:
        now = self._timeline.now
        for ticket in self.policy.expired(now):
            self._end(self._call_of(ticket), FailureKind.ENDPOINT_UNAVAILABLE)
        for ticket in self.policy.granted(now):
            self._send(self._call_of(ticket))
        for _ in self.policy.due_probes(now):
            self._start_probe()
        self._report_changes(now)

    def next_s(self) -> float:
        """When to pump though nothing happened."""
        wakeup = self.policy.wakeup(self._timeline.now)
        # what is due this moment was done, but for a rounding error
        return float("inf") if wakeup is None else max(wakeup, self._timeline.now + 1e-6)

    def _call_of(self, ticket: Ticket) -> _Call:
        return self._calls[parse_rollout_segment(ticket.rollout)]

    def _report_changes(self, now: float) -> None:
        if self.policy.away == self._reported_away:
            return
        self._reported_away = self.policy.away
        self._report(availability(self.policy))
        if self.policy.is_down and self._down_since is None:
            self._down_since = now
        elif not self.policy.is_down and self._down_since is not None:
            self.waits.down.append((self._down_since, now))
            self._down_since = None

    def _report(self, news: Message) -> None:
        self._messages.append(news)
        self.has_news = True

    def _send(self, call: _Call) -> None:
        call.attempt += 1
        attempt, refusal = call.attempt, self._server.refusal
        if refusal is not None:
            after_s = refusal.after_s
            self._timeline.after(after_s, lambda: self._refused(call, attempt, refusal))
            return
        self._server.server.submit(call.number, call.step.prompt_tokens, call.step.answer_tokens)
        self._timeline.after(
            self._request_timeout_s,
            lambda: self._lose(call, attempt, "no answer in time"),
        )

    def _refused(self, call: _Call, attempt: int, refusal: Refusal) -> None:
        if not refusal.is_busy:
            self._lose(call, attempt, refusal.why, refusal.reached)
        elif call.attempt == attempt and call.ticket.phase == "sent":
            self.policy.busy(call.ticket, self._timeline.now)

    def _lose(self, call: _Call, attempt: int, why: str, reached: bool = True) -> None:
        if call.attempt != attempt or call.ticket.phase != "sent":
            return
        self.waits.lost += 1
        self._server.server.abort(call.number)
        if not self.policy.lost(call.ticket, why, self._timeline.now, reached=reached):
            self._end(call, FailureKind.REQUEST_REFUSED)

    def _end(self, call: _Call, how: SimulatedAnswer | FailureKind) -> None:
        del self._calls[call.key]
        ticket = call.ticket
        answer = how if isinstance(how, SimulatedAnswer) else None
        self._held_s[call.key] += ticket.held_s + ticket.queue_s
        self.waits.held_s += ticket.held_s
        self.waits.queue_s += ticket.queue_s
        total_s = self._timeline.now - ticket.arrived_at
        record = ModelRequest(
            key=call.key,
            result=RequestResult.ANSWERED if answer else RequestResult.FAILED,
            server=ticket.server,
            status=200 if answer else 502,
            started_at=ticket.arrived_at,
            total_s=total_s,
            queue_s=ticket.queue_s,
            held_s=ticket.held_s,
            retries=ticket.tries + ticket.rejections,
            first_token_s=answer.first_token_s if answer else None,
            prompt_tokens=call.step.prompt_tokens,
            cached_tokens=answer.cached_tokens if answer else None,
            completion_tokens=call.step.answer_tokens,
        )
        self._meter.add(ticket.rollout, record)
        self._messages.append(Requested(request=record))
        call.reply(None if isinstance(how, SimulatedAnswer) else how, total_s)

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
        self.policy.probed(
            URL, Probed(problem, is_clear=problem not in UNCLEAR), self._timeline.now
        )
        self.pump()

    # what is sampled

    def _sample(self) -> None:
        """Report what happened since the last one."""
        now = self._timeline.now
        down_s = self.policy.down_s(now)
        sample = self._meter.sample(
            seconds=now - self._sampled_at,
            waiting=self.policy.waiting,
            states=self.policy.states(),
            down_s=down_s - self._down_s,
            outages=self.policy.outages - self._outages,
            server=self._read_server() if self._sees_metrics else None,
        )
        self._sampled_at, self._down_s, self._outages = now, down_s, self.policy.outages
        self._report(Sampled(sample=sample))
        self._timeline.after(SAMPLE_S, self._sample)

    def _read_server(self) -> ServerMetrics | None:
        reading = self._server.metrics()
        if reading is None:
            return None
        grown, self._reading = reading.since(self._reading), reading
        if grown.generation_tokens or grown.prompt_tokens:
            self.policy.alive(URL, self._timeline.now)
        return grown
