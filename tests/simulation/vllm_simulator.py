"""A vLLM server, simulated in seconds of its own: hours of serving in a fraction of a real second.

Modelled, each as vLLM's V1 engine does it, but for whole requests instead of tokens and blocks:

- the KV cache: what running requests hold, and beside it the prefixes of answered ones, which are
  evicted from the least recently used on, tail first; a prompt is looked up when it is scheduled;
- continuous batching: an engine step takes `step_s + step_per_sequence_s * batch`, and longer by
  the chunk of a prompt that is prefilled in it (chunked prefill), so that prefill slows decoding;
- first come, first served, up to `max_num_seqs`; a request waits until its prompt fits;
- preemption: where running requests outgrow the cache, the last one started goes back to the
  queue's front, and what it had is prefilled again, as far as it was evicted;
- a crash: what runs and what waits is lost, the cache and the counters begin anew.

Between two events all rates are constant, so time jumps from event to event: the end of a prefill,
of an answer, a full cache.

Not modelled: the cost of attention over long contexts, prompts with a common prefix (the system
prompt), prompts that share a chunk, speculative decoding.

That a server can be predicted by a model of its steps is Vidur's idea
(https://arxiv.org/abs/2405.05465); for eviction see
https://docs.vllm.ai/en/latest/design/prefix_caching.html . The default rates are those of a mixture
of experts with 3 to 4 billion active parameters on a DGX Spark, roughly: decoding alone yields 45
tokens/s for one stream, 290 for 16 and 350 for 32.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.endpoint.metrics import ServerMetrics

WATERMARK = 0.01
"""The share of the cache that stays free when a request is started beside others."""


@dataclass(frozen=True)
class ServerProfile:
    """What a server can do. Tokens and seconds."""

    kv_tokens: int
    prefill_tokens_per_s: float = 3000.0
    step_s: float = 0.020
    step_per_sequence_s: float = 0.0022
    chunk_tokens: int = 2048
    """How many tokens an engine step takes at most (max_num_batched_tokens)."""
    max_num_seqs: int = 64


@dataclass(frozen=True)
class SimulatedAnswer:
    """What is known of a request once it is answered. Seconds, and tokens."""

    rollout: int
    at_s: float
    latency_s: float
    """From the request to the whole answer; so is `first_token_s`."""
    first_token_s: float
    prompt_tokens: int
    cached_tokens: int
    """Of the prompt, found in the prefix cache when the request was first started."""
    answer_tokens: int


@dataclass(eq=False)
class _QueuedRequest:
    rollout: int
    prompt_tokens: int
    answer_tokens: int
    asked_s: float
    queued_s: float = 0.0
    """When it came into the queue of the server as that runs now."""
    generated: float = 0.0
    cached: float | None = None
    first_token_s: float = 0.0
    done_at_tokens: float = math.inf
    """The server's clock of tokens when it will be answered; infinite: it is not decoding."""

    @property
    def kept(self) -> float:
        """How many tokens the cache has to hold for it."""
        return self.prompt_tokens + self.generated


class SimulatedServer:
    """Time is handed in: it advances to `next_event_s`, or to anything before that."""

    def __init__(self, profile: ServerProfile) -> None:
        self.profile = profile
        self.now = 0.0
        self.prefilled_tokens = 0.0
        """Computed over all time, restarts or not."""
        self.restarts = 0
        self._hangs = False
        self._reset()

    def _reset(self) -> None:
        self._count: dict[str, float] = {}
        self._waiting: deque[_QueuedRequest] = deque()
        self._running: dict[_QueuedRequest, None] = {}
        self._prefilling: _QueuedRequest | None = None
        self._to_prefill = 0.0
        self._decoding = 0
        self._ends: list[tuple[float, int, _QueuedRequest]] = []
        self._order = 0
        self._tokens = 0.0
        self._held = 0.0
        self._idle: dict[int, float] = {}
        self._idle_tokens = 0.0

    @property
    def cached_tokens(self) -> float:
        """What the cache holds, of running requests and of finished ones; never over its size."""
        return self._held + self._idle_tokens

    def submit(self, rollout: int, prompt_tokens: int, answer_tokens: int) -> None:
        """Ask for an answer now.

        Raises:
            ValueError: the cache is too small even for this request alone.
        """
        if prompt_tokens + answer_tokens > self.profile.kv_tokens:
            raise ValueError(f"{prompt_tokens} tokens and an answer do not fit the KV cache")
        request = _QueuedRequest(rollout, prompt_tokens, answer_tokens, self.now, self.now)
        self._waiting.append(request)
        self._start_next()

    def abort(self, rollout: int) -> None:
        """Drop a rollout's request, as when its connection closes; what it computed is cached."""
        for request in [r for r in self._waiting if r.rollout == rollout]:
            self._waiting.remove(request)
        for request in [r for r in self._running if r.rollout == rollout]:
            self._stop(request)
        self._start_next()

    def crash(self) -> list[int]:
        """Begin anew, cache and counters empty; rollouts whose requests are gone."""
        lost = [request.rollout for request in (*self._running, *self._waiting)]
        self.restarts += 1
        self._hangs = False
        self._reset()
        return lost

    def hang(self, hangs: bool) -> None:
        """Stand still, requests and all, or go on."""
        self._hangs = hangs
        self._start_next()

    def metrics(self) -> ServerMetrics:
        """The counters as /metrics shows them."""
        return ServerMetrics(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_usage=min(1.0, self._held / self.profile.kv_tokens),
            kv_tokens=self.profile.kv_tokens,
            **self._count,
        )

    def next_event_s(self) -> float:
        """When something happens next unless something is submitted; infinity: never."""
        return self._next()[0]

    def advance(self, until_s: float) -> list[SimulatedAnswer]:
        """Go on to `until_s`, at most `next_event_s`; answers that this ends."""
        at_s, happen = self._next()
        assert self.now <= until_s <= at_s, "an event would be left out"
        self._flow(until_s - self.now)
        self.now = until_s
        return happen() if until_s == at_s else []

    def _next(self) -> tuple[float, Callable[[], list[SimulatedAnswer]]]:
        """The event that comes first, and what it does."""
        if self._hangs:
            return math.inf, self._nothing
        step_s, chunk = self._step()
        while self._ends and self._ends[0][2].done_at_tokens != self._ends[0][0]:
            heapq.heappop(self._ends)  # was preempted since
        in_s, happen = math.inf, self._nothing
        if self._prefilling is not None:
            in_s, happen = self._to_prefill / chunk * step_s, self._end_prefill
        if self._ends:
            end_s = (self._ends[0][0] - self._tokens) * step_s
            if end_s <= in_s:
                in_s, happen = end_s, self._end_answer
            full_s = (self.profile.kv_tokens - self._held) / self._decoding * step_s
            if full_s < in_s and len(self._running) > 1:
                in_s, happen = full_s, self._preempt
        return self.now + max(0.0, in_s), happen

    def _nothing(self) -> list[SimulatedAnswer]:
        return []

    def _step(self) -> tuple[float, float]:
        """How long an engine step takes now, and how many tokens of a prompt it prefills."""
        p = self.profile
        chunk = max(1.0, p.chunk_tokens - self._decoding) if self._prefilling is not None else 0.0
        return (
            p.step_s + p.step_per_sequence_s * self._decoding + chunk / p.prefill_tokens_per_s,
            chunk,
        )

    def _flow(self, seconds: float) -> None:
        """So many seconds at the rates as they are."""
        if seconds <= 0.0 or self._hangs:
            return
        step_s, chunk = self._step()
        steps = seconds / step_s
        if self._prefilling is not None:
            self._prefill(min(self._to_prefill, chunk * steps))
        self._tokens += steps
        self._held += steps * self._decoding
        self._add("generation_tokens", steps * self._decoding)
        self._evict()

    def _prefill(self, tokens: float) -> None:
        self._to_prefill -= tokens
        self.prefilled_tokens += tokens

    def _end_prefill(self) -> list[SimulatedAnswer]:
        request = self._prefilling
        assert request is not None
        self._prefill(self._to_prefill)
        self._prefilling = None
        self._decoding += 1
        self._order += 1
        request.done_at_tokens = self._tokens + request.answer_tokens - request.generated
        heapq.heappush(self._ends, (request.done_at_tokens, self._order, request))
        if not request.first_token_s:
            request.first_token_s = self.now - request.asked_s
            self._add("first_token_s", self.now - request.queued_s)
            self._add("first_tokens", 1)
            self._add("prompt_tokens", request.prompt_tokens)
        self._start_next()
        return []

    def _end_answer(self) -> list[SimulatedAnswer]:
        request = heapq.heappop(self._ends)[2]
        self._decoding -= 1
        self._release(request, float(request.answer_tokens))
        self._start_next()
        return [
            SimulatedAnswer(
                request.rollout,
                self.now,
                self.now - request.asked_s,
                request.first_token_s,
                request.prompt_tokens,
                round(request.cached or 0.0),
                request.answer_tokens,
            )
        ]

    def _release(self, request: _QueuedRequest, generated: float) -> None:
        """It runs no more; what the cache holds of it stays there until it is evicted."""
        del self._running[request]
        computed = request.prompt_tokens + generated
        self._held = max(0.0, self._held - computed) if self._running else 0.0
        if request is self._prefilling:
            computed -= self._to_prefill
            self._prefilling = None
        request.generated, request.done_at_tokens = generated, math.inf
        self._idle_tokens += computed - self._idle.pop(request.rollout, 0.0)
        self._idle[request.rollout] = computed
        self._evict()

    def _preempt(self) -> list[SimulatedAnswer]:
        request = next(reversed(self._running))
        self._stop(request)
        self._add("preemptions", 1)
        self._waiting.appendleft(request)
        return []

    def _stop(self, request: _QueuedRequest) -> None:
        """End its running before it is answered."""
        generated = request.generated
        if request is not self._prefilling:
            self._decoding -= 1
            generated = request.answer_tokens - (request.done_at_tokens - self._tokens)
        self._release(request, generated)

    def _start_next(self) -> None:
        """Start what waits first, if nothing is being prefilled and it fits."""
        if self._prefilling is not None or not self._waiting or self._hangs:
            return
        request = self._waiting[0]
        free = self.profile.kv_tokens * (1 - WATERMARK) - self._held
        if self._running and (
            request.kept > free or len(self._running) >= self.profile.max_num_seqs
        ):
            return
        self._waiting.popleft()
        found = self._idle.pop(request.rollout, 0.0)
        self._idle_tokens -= found
        hit = min(found, request.kept - 1.0)
        if request.cached is None:
            request.cached = hit
            self._add("prefix_queries", request.prompt_tokens)
            self._add("prefix_hits", hit)
            self._add("queue_s", self.now - request.queued_s)
            self._add("queued", 1)
        self._running[request] = None
        self._held += request.kept
        self._prefilling, self._to_prefill = request, request.kept - hit
        self._evict()

    def _evict(self) -> None:
        over = self._held + self._idle_tokens - self.profile.kv_tokens
        while over > 0.0 and self._idle:
            oldest = next(iter(self._idle))
            gone = min(over, self._idle[oldest])
            self._idle[oldest] -= gone
            self._idle_tokens -= gone
            over -= gone
            if self._idle[oldest] <= 0.0:
                del self._idle[oldest]

    def _add(self, counter: str, growth: float) -> None:
        self._count[counter] = self._count.get(counter, 0.0) + growth
