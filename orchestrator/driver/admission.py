"""How many rollouts may be under way at once: a pure controller, fed with what happened.

The aim is the most finished rollouts an hour. More rollouts fill the server's batches and the time
that agents spend in their sandboxes; too many evict each other's prefixes from the KV cache, so
that every step computes its whole prompt again. Between the two is a sharp edge, and the way back
over it is long: a limit that is lowered acts only as rollouts end, and there they end slowly. That
agents, not requests, must be held back, and as TCP does it, is Concur's finding
(https://arxiv.org/abs/2601.22705).

What is limited is a *budget*: the tokens that trajectories under way hold, on average of their
lives. The limit is the budget over a trajectory's mean size; where sizes are not known, the budget
counts rollouts, and a size is 1. Three rules move it:

- It starts at a share of the KV cache, or without bound where the cache's size is not known; the
  limit climbs to it from a low one. Trajectories begin small, so until a generation of them has
  ended they count double: what grows evenly is on average half of what it becomes.
- Where too much is *lost*, it is cut (multiplicative decrease), and not again before each rollout
  had some answers under the lower limit. Time is counted in *rounds*: an answer for each rollout.
- Else it nears the budget that was too much, quickly while it is far and slowly when it is near,
  and creeps on beyond (as CUBIC, RFC 9438, does around the window of its last loss).

Lost is a share of the work that could be done:

- By the server's metrics it is the share of its time that goes into prompts computed again: of the
  tokens not found in the prefix cache those that trajectories did not grow by, times the share of
  the time that prompts took (time to first token less queueing). One rollout of n brings 1/n of the
  work at most, so a limit of n is too high where more is lost. Preemptions always are too much.
- Without metrics it is by how much the work a second lies under the best seen with fewer rollouts,
  if answers are slower than there too; slow tests are not the server's doing. Nothing warns of the
  edge here, so the limit rises only while there is no less work than with fewer.

A server that `bench` has measured is given three quarters of that from the start, which saves the
climb: of a night of 60 rollouts with 32 slots 4 and 16 % at 350,000 and 1,500,000 tokens of cache
(0 and 55 % without metrics). A guess is not: 8 at a server that is worth 2 cost 8 %, and 43 %
without metrics, where nothing was seen with fewer; a measured 3 instead of 2 would still cost 22 %.

The second is an insurance. With the 8 slots of the shipped profiles it costs 2 to 3 % of a night of
300 rollouts where 8 fit the server (7 to 8 % of one of 50: the climb from 2), and does 1.7 to 2.4
times the work where the cache holds fewer (200,000 tokens or less). With 32 slots it comes to 0.88
to 0.96 of the best fixed number, which nobody knows beforehand; all 32 come to 0.21 to 1
(scripts/bench_admission.py; simulated, with vLLM's eviction).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

from orchestrator.endpoint.fields import MAX_TOKENS
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics

FIRST_LIMIT = 2
MEASURED_SHARE = 0.75
"""Of what was measured, where the limit starts."""
RAISE_SHARE = 1 / 8
"""By which the limit is raised."""
CACHE_SHARE = 0.6
"""The budget's share of the cache: the sum of sizes varies, and what has ended lingers in it."""
CUT_TO = 0.85
"""What is left of a budget that was too much."""
NEAR_CUT_TO = 0.9
"""The same where the budget began at the cache's size, and so can't be far off."""
RECOVERY = 0.04
"""Growth of the budget a round, as a share of what it lacks of what was too much."""
CREEP = 0.0002
"""The same beyond that, as a share of itself."""
RAISE_ROUNDS = 4.0
"""At least between two raises."""
CUT_ROUNDS = 10.0
"""At least before a cut, and what loss by metrics is measured over: for less it is too noisy."""
NO_METRICS_ROUNDS = 6.0
"""What loss without metrics is measured over."""
NOISE = 0.08
"""A share of lost time that chance explains."""
NO_METRICS_NOISE = 0.15
"""The same without metrics."""
NO_METRICS_LITTLE = 0.0
"""The loss up to which the limit may rise without metrics."""
NO_METRICS_FADING = 0.995
"""What the work seen elsewhere still counts a window later: it may have been luck."""
NO_METRICS_SLOWER = 1.2
"""Less work counts as lost only where answers take so many times as long."""
FORGET = 0.8
"""What earlier work still counts when there is more with as many rollouts."""
WINDOW_S = 30.0
"""Samples are judged together for at least so long; without metrics, the next two."""
NO_METRICS_WINDOW_S = 120.0
NO_METRICS_ANSWERS = 40
GROWING_ROUNDS = 5.0
"""The time constant of a size that still grows."""


@dataclass
class _Window:
    """Samples in a row, added up; all of them with metrics, or all without."""

    seconds: float = 0.0
    rollout_seconds: float = 0.0
    answers: float = 0.0
    grown_tokens: float = 0.0
    answering_s: float = 0.0
    server: ServerMetrics | None = None

    @classmethod
    def of(cls, s: LoadSample) -> _Window:
        return cls(
            s.seconds,
            s.rollouts * s.seconds,
            s.answers,
            s.grown_tokens,
            s.answers * s.latency_s,
            s.server,
        )

    def add(self, later: _Window) -> None:
        self.seconds += later.seconds
        self.rollout_seconds += later.rollout_seconds
        self.answers += later.answers
        self.grown_tokens += later.grown_tokens
        self.answering_s += later.answering_s
        if later.server is not None:
            sums = (self.server or ServerMetrics()) + later.server
            self.server = replace(sums, kv_tokens=later.server.kv_tokens)

    @property
    def rollouts(self) -> float:
        return self.rollout_seconds / self.seconds

    @property
    def rounds(self) -> float:
        return self.answers / self.rollouts if self.rollout_seconds else 0.0

    @property
    def work(self) -> float:
        """Tokens a second."""
        return self.grown_tokens / self.seconds

    @property
    def latency_s(self) -> float:
        return self.answering_s / self.answers if self.answers else 0.0

    @property
    def prompt_tokens(self) -> float:
        """A prompt's mean size; 0 where it is not known."""
        if self.server is None or self.server.queued <= 0:
            return 0.0
        return self.server.prefix_queries / self.server.queued

    @property
    def is_whole(self) -> bool:
        """Enough to judge by: without the cache's own figures that takes more."""
        if self.prompt_tokens > 0:
            return self.seconds >= WINDOW_S and self.answers > 0
        return self.seconds >= NO_METRICS_WINDOW_S and self.answers >= NO_METRICS_ANSWERS

    @property
    def recomputing(self) -> float:
        """The share of the time that went into prompts computed again, 0 to 1."""
        if self.server is None:
            return 0.0
        computed = self.server.prefix_queries - self.server.prefix_hits
        new = max(0.0, self.grown_tokens - self.server.generation_tokens)
        if computed <= new:
            return 0.0
        prefilling_s = max(0.0, self.server.first_token_s - self.server.queue_s)
        return min(1.0, prefilling_s / self.seconds) * (computed - new) / computed


@dataclass(frozen=True)
class _Loss:
    """Shares, and the first in words. Up to `little` the limit may rise."""

    lost: float
    little: float
    tolerated: float
    words: str

    @property
    def is_too_much(self) -> bool:
        return self.lost > self.tolerated

    @property
    def is_little(self) -> bool:
        return self.lost <= self.little


@dataclass
class _TokenBudget:
    """In tokens, or in rollouts of size 1; infinite: nothing is known yet."""

    kv_tokens: int | None = None
    allowed: float = math.inf
    too_much: float = math.inf
    size: float = 1.0
    is_grown: bool = True
    seen: _Window = field(default_factory=_Window)

    def measure(self, window: _Window, rollouts: int) -> None:
        """The size now and, once a generation has ended, on average of all time.

        One has ended when what grew and is no longer under way is as much as what is.
        """
        size = min(window.prompt_tokens, MAX_TOKENS)  # a gauge next to 0 makes it infinite
        assert window.server is not None
        if window.server.kv_tokens not in (None, self.kv_tokens):
            self.kv_tokens = window.server.kv_tokens
            self.allowed, self.too_much = CACHE_SHARE * (self.kv_tokens or 0), math.inf
        if not self.seen.seconds:
            self.size, self.is_grown = size, False
        self.seen.add(window)
        if not self.is_grown:
            self.size += (size - self.size) * (1 - math.exp(-window.rounds / GROWING_ROUNDS))
            self.is_grown = self.seen.grown_tokens > 2 * rollouts * self.size
        if self.is_grown:
            self.size = self.seen.prompt_tokens

    def rollouts(self, headroom: float = 1.0) -> int:
        """How many it is for, each `headroom` times as large as now."""
        fit = self.allowed / (self.size * headroom)
        return round(min(fit, 1e9))

    def grow(self, rounds: float) -> None:
        lacking = max(0.0, self.too_much - self.allowed) if math.isfinite(self.too_much) else 0.0
        self.allowed += rounds * (RECOVERY * lacking + CREEP * self.allowed)

    def cut(self, rollouts: int) -> None:
        """To a share of what is too much now.

        Where the budget is near, what was too much before counts for half: that it is less now may
        be a few long trajectories that met by chance.
        """
        is_near = self.kv_tokens is not None
        now = min(self.allowed, rollouts * self.size)
        before = self.too_much if is_near and math.isfinite(self.too_much) else now
        self.too_much = (before + now) / 2
        self.allowed = max(self.size, (NEAR_CUT_TO if is_near else CUT_TO) * now)


def first_limit(measured: int | None) -> int | None:
    """Where to start at a server that was measured to be worth so many; None where nobody has.

    A little below: the number is at the edge, and where the server has no metrics a start beyond
    the edge is not noticed, as nothing was seen with fewer.
    """
    if measured is None:
        return None
    return max(min(FIRST_LIMIT, measured), int(MEASURED_SHARE * measured))


class Admission:
    """The limit, and why it is what it is; fed with samples of some 10 s, one after the other."""

    def __init__(self, slots: int, start: int | None = None) -> None:
        """`start` is the first limit where the server was measured (`first_limit`), else it is a
        low one. A mere guess must not be: too high costs more than the climb from a low one.

        Raises:
            ValueError: less than one slot.
        """
        if slots < 1:
            raise ValueError(f"{slots} slots")
        self._slots = slots
        self._limit = max(1, min(slots, FIRST_LIMIT if start is None else start))
        self._reason = "a first guess" if start is None else "as `bench` measured"
        self._window = _Window()
        self._recent: deque[_Window] = deque()
        self._rounds = 0.0
        """Since the limit was last changed on purpose."""
        self._cold_answers = 0
        self._by_metrics, self._by_work = _TokenBudget(), _TokenBudget()
        self._at: dict[int, _Window] = {}
        """What was seen with so many rollouts, the older the less of it."""

    @property
    def limit(self) -> int:
        """From 1 to the slots."""
        return self._limit

    @property
    def reason(self) -> str:
        """Why the limit is what it is, in a few words."""
        return self._reason

    def observe(self, sample: LoadSample) -> None:
        """Take in what happened since the last sample."""
        if sample.is_disturbed:
            self._begin_anew()
            self._cold_answers = 2 * sample.rollouts
            return
        if sample.seconds <= 0:
            return
        if self._cold_answers > 0:  # the cache is empty after an outage: all is computed once more
            self._cold_answers -= sample.answers
            return
        if self._window.seconds and (self._window.server is None) != (sample.server is None):
            self._begin_anew()
        self._window.add(_Window.of(sample))
        if self._window.is_whole:
            window, self._window = self._window, _Window()
            self._judge(window, sample.rollouts)

    def _begin_anew(self) -> None:
        self._window = _Window()
        self._recent.clear()
        self._rounds = 0.0

    def _judge(self, window: _Window, rollouts: int) -> None:
        budget = self._by_metrics if window.prompt_tokens > 0 else self._by_work
        if budget is self._by_metrics:
            budget.measure(window, rollouts)
            loss = self._lost_by_metrics(window)
        else:
            loss = self._lost_by_work(window)
        self._rounds += window.rounds
        if loss.is_too_much:
            if 1 < rollouts <= self._limit and self._rounds >= CUT_ROUNDS:
                self._cut(budget, rollouts, loss)
        elif loss.is_little and rollouts >= self._limit:
            if budget.is_grown:
                budget.grow(window.rounds)
            if self._rounds >= RAISE_ROUNDS:
                self._raise(budget, loss)
        if budget.is_grown and budget.rollouts() < self._limit:
            self._set(budget.rollouts(), "as many as the KV cache has room for")

    def _raise(self, budget: _TokenBudget, loss: _Loss) -> None:
        wanted = self._limit + max(1, int(self._limit * RAISE_SHARE))
        room = budget.rollouts(1.0 if budget.is_grown else 2.0)
        if min(wanted, room, self._slots) > self._limit:
            self._set(min(wanted, room), f"raised from {self._limit}: {loss.words}")
            self._rounds = 0.0

    def _cut(self, budget: _TokenBudget, rollouts: int, loss: _Loss) -> None:
        budget.cut(rollouts)
        self._set(min(self._limit, budget.rollouts()), f"lowered from {self._limit}: {loss.words}")
        self._rounds = 0.0
        self._recent.clear()

    def _set(self, limit: int, reason: str) -> None:
        limit = max(1, min(self._slots, limit))
        if limit != self._limit:
            self._limit, self._reason = limit, reason

    def _lost_by_metrics(self, window: _Window) -> _Loss:
        recent = self._sum_recent(window, CUT_ROUNDS)
        assert recent.server is not None
        if recent.server.preemptions > 0:
            return _Loss(1.0, 0.0, 0.0, "the server preempted requests")
        lost = recent.recomputing
        words = f"{lost:.0%} of the time goes into prompts computed again"
        tolerated = max(NOISE, 1 / self._limit)
        return _Loss(lost, tolerated / 2, tolerated, words)

    def _lost_by_work(self, window: _Window) -> _Loss:
        recent = self._sum_recent(window, NO_METRICS_ROUNDS)
        here = round(window.rollouts)
        for seen in self._at.values():
            seen.grown_tokens *= NO_METRICS_FADING
        self._at[here] = _faded(self._at.get(here))
        self._at[here].add(window)
        fewer = [n for n in self._at if n < here]
        if not fewer:
            return _Loss(0.0, NO_METRICS_LITTLE, NO_METRICS_NOISE, "nothing better was seen")
        n = max(fewer, key=lambda n: self._at[n].work)
        best = self._at[n]
        lost = 1 - recent.work / best.work if best.work > 0 else 0.0
        if recent.latency_s < NO_METRICS_SLOWER * best.latency_s:
            lost = min(lost, NO_METRICS_NOISE)
        words = f"{abs(lost):.0%} {'less' if lost > 0 else 'more'} work than at {n}"
        return _Loss(lost, NO_METRICS_LITTLE, NO_METRICS_NOISE, words)

    def _sum_recent(self, window: _Window, rounds: float) -> _Window:
        """The last windows, as few as hold so many rounds."""
        self._recent.append(window)
        while sum(w.rounds for w in self._recent) - self._recent[0].rounds > rounds:
            self._recent.popleft()
        total = _Window()
        for recent in self._recent:
            total.add(recent)
        return total


def _faded(window: _Window | None) -> _Window:
    if window is None:
        return _Window()
    return _Window(
        FORGET * window.seconds,
        FORGET * window.rollout_seconds,
        FORGET * window.answers,
        FORGET * window.grown_tokens,
        FORGET * window.answering_s,
    )
