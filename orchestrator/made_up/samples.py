"""What a made-up model server had to do, interval by interval. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.made_up.nights import RAMP_S, SLOTS, MadeUpNight, Span, TakenStep

EVERY_S = 15.0
KV_TOKENS = 150_000
"""What the cache holds."""


@dataclass
class _Bucket:
    """One interval, as it is counted."""

    rollouts: int = 0
    running: int = 0
    held: int = 0
    context: int = 0
    answers: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    latency_s: float = 0.0


def sample_night(night: MadeUpNight, sessions: Sequence[Span]) -> Iterator[LoadSample]:
    """Of every session until its last rollout has ended and for as long as it goes on."""
    for session in sessions:
        buckets = [_Bucket() for _ in range(int(session.seconds / EVERY_S) + 1)]
        for attempt in night.attempts:
            if session.holds(attempt.span.start):
                _spread(buckets, session, attempt.span, "rollouts", 1)
                for step in attempt.steps:
                    _count(buckets, session, step)
        outages_seen = 0
        for number, bucket in enumerate(buckets):
            span = Span(session.start + number * EVERY_S, session.start + (number + 1) * EVERY_S)
            down_s = max(0.0, min(span.end, night.outage.end) - max(span.start, night.outage.start))
            begins = int(down_s > 0 and not outages_seen)
            outages_seen += begins
            yield _sample(bucket, span, down_s, begins, _admitted(span, session, night.outage))


def _admitted(span: Span, session: Span, outage: Span) -> int:
    since = span.end - session.start
    back = span.end - outage.end
    if back > 0 and session.holds(outage.start):
        since = min(since, back + 4 * RAMP_S)
    return min(SLOTS, 2 + int(since / RAMP_S))


def _spread(buckets: list[_Bucket], session: Span, span: Span, name: str, amount: int) -> None:
    """Add to every interval at whose end it goes on."""
    first = int((span.start - session.start) / EVERY_S)
    last = int((span.end - session.start) / EVERY_S)
    for bucket in buckets[first:last]:
        setattr(bucket, name, getattr(bucket, name) + amount)


def _count(buckets: list[_Bucket], session: Span, step: TakenStep) -> None:
    planned = step.planned
    served_at = step.asked_at + step.held_s
    _spread(buckets, session, Span(step.asked_at, served_at), "held", 1)
    _spread(buckets, session, Span(served_at, step.answered_at), "running", 1)
    _spread(
        buckets, session, Span(step.asked_at, step.answered_at), "context", planned.prompt_tokens
    )
    number = int((step.answered_at - session.start) / EVERY_S)
    if number < len(buckets):
        bucket = buckets[number]
        bucket.answers += 1
        bucket.prompt += planned.prompt_tokens
        bucket.cached += planned.cached_tokens
        bucket.completion += planned.completion_tokens
        bucket.latency_s += planned.model_s


def _sample(bucket: _Bucket, span: Span, down_s: float, outages: int, admitted: int) -> LoadSample:
    kv_usage = min(0.99, 1.6 * bucket.context / KV_TOKENS)
    server = ServerMetrics(
        running=float(bucket.running),
        preemptions=float(kv_usage > 0.97),
        prefix_queries=float(bucket.prompt),
        prefix_hits=float(bucket.cached),
        kv_usage=round(kv_usage, 4),
    )
    return LoadSample(
        at=span.end,
        seconds=span.seconds,
        answers=bucket.answers,
        grown_tokens=bucket.prompt - bucket.cached + bucket.completion,
        prompt_tokens=bucket.prompt,
        completion_tokens=bucket.completion,
        latency_s=round(bucket.latency_s / bucket.answers, 3) if bucket.answers else 0.0,
        in_flight=bucket.running + bucket.held,
        waiting=bucket.held,
        down_s=round(down_s, 3),
        outages=outages,
        server=None if down_s > EVERY_S / 2 else server,
        rollouts=bucket.rollouts,
        admitted=max(admitted, bucket.rollouts),
    )
