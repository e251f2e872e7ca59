"""Hands on what a gateway reports, to the journals, the admission and the scheduler."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from orchestrator.driver.admission import Admission
from orchestrator.driver.executor import ModelStatus, Remark
from orchestrator.driver.lanes import Lane
from orchestrator.driver.outages import Outages
from orchestrator.driver.scheduler import Scheduler
from orchestrator.endpoint.fields import SWALLOWED
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.gateway.messages import Availability, Listening, Message, Requested, Sampled
from orchestrator.journal import Journal
from orchestrator.types import ModelRequest, RequestResult, RolloutKey

FLUSH_EVERY_S = 2.0


class GatewayHandle(Protocol):
    """What the driver needs of a gateway."""

    def base_url(self, key: RolloutKey) -> str: ...

    def forget(self, key: RolloutKey) -> None: ...

    def poll(self) -> list[Message]: ...


class GatewayListener:
    """Listens to the gateway of one lane, once a turn of the driver's loop."""

    def __init__(
        self,
        gateway: GatewayHandle,
        lane: Lane,
        journals: Mapping[str, Journal],
        scheduler: Scheduler,
        admission: Admission | None,
        max_outage_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`journals` are those of the runs in the lane, by run id. `admission` is None where all
        slots are always used. `clock` gives seconds and never goes backwards."""
        self._gateway = gateway
        self._lane = lane
        self._journals = journals
        self._scheduler = scheduler
        self._admission = admission
        self._max_outage_s = max_outage_s
        self._clock = clock
        self._requests: defaultdict[str, list[ModelRequest]] = defaultdict(list)
        """By run id."""
        self._samples: list[LoadSample] = []
        self._flushed_at = self._clock()
        self._down_since: float | None = None
        self._outages = Outages()
        self._warned_of_swallowed = False
        self._gateways = 0
        """How many have started, one after the other."""
        self._apply_limit()

    def listen(self) -> Iterator[Remark | ModelStatus]:
        """Take in what the gateway has reported; yields what people should know."""
        for message in self._gateway.poll():
            if isinstance(message, Requested):
                yield from self._requested(message.request)
            elif isinstance(message, Sampled):
                yield from self._sampled(message.sample)
            elif isinstance(message, Availability):
                yield from self._availability(message)
            elif isinstance(message, Listening):
                yield from self._gateway_started()
        yield from self._tell(self._outages.passed(self._clock()))
        yield from self._give_up_after_long_outage()
        if self._clock() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def end(self) -> Iterator[Remark | ModelStatus]:
        """Listen for the last time; nothing stays untold or unwritten."""
        yield from self.listen()
        yield from self._tell(self._outages.ended(self._clock()))
        self.flush()

    def flush(self) -> None:
        """Write what is still to be written: requests to the journal of their run, samples to each,
        as all runs of the lane made the load together."""
        for run_id, journal in self._journals.items():
            journal.append_requests(self._requests[run_id], self._samples)
        self._requests.clear()
        self._samples = []
        self._flushed_at = self._clock()

    def _requested(self, request: ModelRequest) -> Iterator[Remark]:
        self._requests[request.key.run_id].append(request)
        if request.result is RequestResult.SWALLOWED and not self._warned_of_swallowed:
            self._warned_of_swallowed = True
            yield from self._tell([SWALLOWED])
        if request.result.is_answer:
            yield from self._tell(self._outages.answered(request.server, self._clock()))

    def _sampled(self, counted: LoadSample) -> Iterator[ModelStatus]:
        admitted = self._lane.admitted(self._scheduler.rollout_slots)
        rollouts = self._scheduler.under_way(self._lane)
        sample = replace(counted, rollouts=rollouts, admitted=admitted)
        self._samples.append(sample)
        if self._admission is not None:
            self._admission.observe(sample)
            self._apply_limit()
        why = self._admission.reason if self._admission is not None else "as many as slots"
        admitted = self._lane.admitted(self._scheduler.rollout_slots)
        name = self._lane.name if self._is_one_of_several else "model"
        text = f"{name}: {_status_words(sample)}; up to {admitted} rollouts ({why})"
        yield ModelStatus(text, name)

    def _gateway_started(self) -> Iterator[Remark]:
        """A new gateway takes every server to be up, until it finds one away."""
        again, self._gateways = self._gateways, self._gateways + 1
        if not again:
            return
        if (
            again & (again - 1) == 0
        ):  # the 1st, 2nd, 4th, 8th time: one that always dies says little
            times = "again" if again == 1 else f"again, {again} times by now"
            yield from self._tell(
                [f"the gateway was started {times}; see gateway.log in the run's folder"]
            )
        self._lane.away, self._down_since = "", None
        yield from self._tell(self._outages.new_gateway(self._clock()))

    def _availability(self, seen: Availability) -> Iterator[Remark]:
        self._lane.away = "; ".join(seen.notes) if seen.down else ""
        if not seen.down:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = self._clock()
        yield from self._tell(self._outages.changed(seen.away, self._clock()))

    def _give_up_after_long_outage(self) -> Iterator[Remark]:
        """Ask a model that stays away nothing more in this session: its runs can be resumed."""
        since = self._down_since
        if since is None or self._scheduler.stopping or self._lane.has_given_up:
            return
        if self._clock() - since >= self._max_outage_s:
            self._scheduler.give_up(self._lane)
            hours, why = self._max_outage_s / 3600, self._lane.away
            ends = "the run ends here" if self._scheduler.stopping else "its runs end here"
            yield from self._tell(
                [
                    f"no model server was up for {hours:.3g} h (endpoint.max_outage_s): {ends}, "
                    f"and can be resumed when one is ({why})"
                ]
            )

    @property
    def _is_one_of_several(self) -> bool:
        return len(self._scheduler.lanes) > 1

    def _tell(self, lines: Iterable[str]) -> Iterator[Remark]:
        """Lines that name the model where there are several."""
        of = f"{self._lane.name}: " if self._is_one_of_several else ""
        return (Remark(f"{of}{line}") for line in lines)

    def _apply_limit(self) -> None:
        if self._admission is not None:
            self._lane.limit = self._admission.limit


def _status_words(sample: LoadSample) -> str:
    """`12 answers a minute, 310 tokens/s, KV cache 64 % full, 91 % of prompts cached`."""
    seconds = max(sample.seconds, 1e-9)
    words = [
        f"{60 * sample.answers / seconds:.0f} answers a minute",
        f"{sample.completion_tokens / seconds:.0f} tokens/s",
    ]
    if sample.server is not None:
        words.append(f"KV cache {sample.server.kv_usage:.0%} full")
        if sample.server.prefix_queries:
            hits = sample.server.prefix_hits / sample.server.prefix_queries
            words.append(f"{hits:.0%} of prompts cached")
    return ", ".join(words)
