"""What the model was asked, and how it served: numbers from a journal's rows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.endpoint.fields import SWALLOWED
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.journal.views import RunState
from orchestrator.report.stats import quantiles
from orchestrator.report.words import counted
from orchestrator.types import ModelRequest, RequestResult, RolloutKey, RolloutRecord

WARN_FROM_SHARE = 0.01
WARN_FROM_COUNT = 10
"""From so many, or from such a share of all requests on, refusals are worth a warning."""


@dataclass(frozen=True)
class Spread:
    """Quantiles, in the unit of what was measured."""

    p50: float
    p95: float
    max: float


@dataclass(frozen=True)
class RolloutCost:
    """What one attempt took. Seconds are summed over its requests."""

    instance_id: str
    attempt: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    held_s: float
    """Servers were away."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class ModelUsage:
    """A run's requests and samples in numbers; its fields are keys of report.json.

    Tokens are as the servers counted them, seconds are summed over requests, shares are of 1.
    None: nobody showed it.
    """

    requests: int
    results: Mapping[str, int]
    """Requests by `RequestResult`."""
    retries: int
    prompt_tokens: int
    cached_tokens: int | None
    cached_share: float | None
    """Of the prompts of servers that say what they had cached; else by their own counters."""
    completion_tokens: int
    reasoning_tokens: int
    held_s: float
    """Servers were away."""
    queue_s: float
    """Servers were up and had enough to do."""
    latency_s: Spread | None
    """Of answers, from the moment that a server could take the request."""
    first_token_s: Spread | None
    """Of streamed answers."""
    outages: int | None
    """Times that no server was up; of wall time, unlike `held_s`."""
    outage_s: float | None
    completion_tokens_per_s: float | None
    """Over the time in which a server was up and had something to do."""
    tokens_per_resolved: float | None
    """All tokens of all attempts, over the resolved instances."""
    rollouts: tuple[RolloutCost, ...]


def build_model_usage(
    state: RunState, costs: Sequence[RolloutCost], resolved: int
) -> ModelUsage | None:
    """None where nothing was asked and nobody watched: no model, or an old journal."""
    requests, samples = state.requests, state.samples
    if not requests and not samples:
        return None
    results = Counter(request.result for request in requests)
    answers = [request for request in requests if request.result.is_answer]
    cached = [r.cached_tokens for r in requests if r.cached_tokens is not None]
    return ModelUsage(
        requests=len(requests),
        results={str(result): results[result] for result in RequestResult},
        retries=sum(request.retries for request in requests),
        prompt_tokens=sum(request.prompt_tokens for request in requests),
        cached_tokens=sum(cached) if cached else None,
        cached_share=_rounded(_cached_share(state)),
        completion_tokens=sum(request.completion_tokens for request in requests),
        reasoning_tokens=sum(request.reasoning_tokens for request in requests),
        held_s=round(sum(request.held_s for request in requests), 1),
        queue_s=round(sum(request.queue_s for request in requests), 1),
        latency_s=_spread([r.served_s for r in answers]),
        first_token_s=_spread([r.first_token_s for r in answers if r.first_token_s is not None]),
        outages=sum(row.outages for row in samples) if samples else None,
        outage_s=round(sum(row.down_s for row in samples), 1) if samples else None,
        completion_tokens_per_s=_rounded(_completion_tokens_per_s(samples)),
        tokens_per_resolved=(
            round(sum(cost.tokens for cost in costs) / resolved, 1) if resolved else None
        ),
        rollouts=tuple(costs),
    )


def rollout_costs(state: RunState) -> tuple[RolloutCost, ...]:
    """What every attempt took, by its requests where there are any, else by its own account.

    A worker that died gave no account, and one that was killed with its driver has no row, but
    their requests were paid for. Runs from before requests were recorded have accounts only.
    """
    asked: dict[RolloutKey, list[ModelRequest]] = defaultdict(list)
    for request in state.requests:
        asked[request.key].append(request)
    costs = [_cost_of_requests(key, requests) for key, requests in asked.items()]
    costs += [_cost_of_usage(row) for row in state.rollouts if row.key not in asked]
    return tuple(sorted(costs, key=lambda cost: (cost.instance_id, cost.attempt)))


def model_usage_warnings(requests: Sequence[ModelRequest]) -> Iterator[str]:
    """What a person should mend before the next run."""
    results = Counter(request.result for request in requests)
    swallowed = results[RequestResult.SWALLOWED]
    if swallowed:
        answers = sum(results[result] for result in RequestResult if result.is_answer)
        yield f"{SWALLOWED} ({_of(swallowed, answers, 'answer')})"
    refused, failed = results[RequestResult.REFUSED], results[RequestResult.FAILED]
    if _deserves_warning(refused, len(requests)):
        yield (
            f"servers refused {_of(refused, len(requests), 'request')} "
            f"({_statuses(requests, RequestResult.REFUSED)}): the failures of their rollouts say "
            "what they objected to"
        )
    if _deserves_warning(failed, len(requests)):
        yield (
            f"{_of(failed, len(requests), 'request')} failed for good "
            f"({_statuses(requests, RequestResult.FAILED)}), each after all its retries: the model "
            "server's own log says why"
        )


def _deserves_warning(count: int, requests: int) -> bool:
    return count >= WARN_FROM_COUNT or count > WARN_FROM_SHARE * requests


def _of(count: int, whole: int, noun: str) -> str:
    return f"{count:,} of {counted(whole, noun)}"


def _statuses(requests: Sequence[ModelRequest], result: RequestResult) -> str:
    """`HTTP 400 9 times, 404 3 times`."""
    counts = Counter(request.status for request in requests if request.result is result)
    return "HTTP " + ", ".join(f"{status}: {count:,} x" for status, count in counts.most_common())


def _cost_of_requests(key: RolloutKey, requests: Sequence[ModelRequest]) -> RolloutCost:
    return RolloutCost(
        key.instance_id,
        key.attempt,
        len(requests),
        sum(request.prompt_tokens for request in requests),
        sum(request.completion_tokens for request in requests),
        round(sum(request.held_s for request in requests), 1),
    )


def _cost_of_usage(row: RolloutRecord) -> RolloutCost:
    """An agent asks once a step."""
    usage = row.usage
    return RolloutCost(
        row.key.instance_id,
        row.key.attempt,
        usage.steps,
        usage.prompt_tokens,
        usage.completion_tokens,
        round(usage.held_s, 1),
    )


def _cached_share(state: RunState) -> float | None:
    counted = [(r.cached_tokens, r.prompt_tokens) for r in state.requests]
    known = [(float(hits), float(asked)) for hits, asked in counted if hits is not None]
    if not known:
        known = [
            (row.server.prefix_hits, row.server.prefix_queries)
            for row in state.samples
            if row.server is not None
        ]
    asked = sum(asked for _, asked in known)
    return sum(hits for hits, _ in known) / asked if asked else None


def _completion_tokens_per_s(samples: Sequence[LoadSample]) -> float | None:
    """Grades at the end of a run leave the server idle: that is not its speed."""
    busy = [row for row in samples if row.rollouts or row.answers]
    up_s = sum(row.seconds - row.down_s for row in busy)
    return sum(row.completion_tokens for row in busy) / up_s if up_s > 0 else None


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    cuts = quantiles(values, 20)
    return Spread(round(cuts[9], 3), round(cuts[-1], 3), round(max(values), 3))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
