from __future__ import annotations

import pytest
from support.rows import asked, failed, graded, rolled, sampled, state

from orchestrator.endpoint.fields import SWALLOWED
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.journal import RunState
from orchestrator.report.model_usage import (
    ModelUsage,
    RolloutCost,
    Spread,
    build_model_usage,
    model_usage_warnings,
    rollout_costs,
)
from orchestrator.types import RequestResult, Usage


def traffic(seen: RunState, resolved: int = 0) -> ModelUsage:
    found = build_model_usage(seen, rollout_costs(seen), resolved)
    assert found is not None
    return found


def test_a_run_that_asked_nothing_has_no_traffic() -> None:
    seen = state(rolled("a"), grades=[graded("a", True)])

    assert build_model_usage(seen, rollout_costs(seen), 1) is None


def test_requests_are_counted_by_how_they_ended() -> None:
    requests = [asked(), asked(retries=3), asked(result=RequestResult.REFUSED, status=400)]
    found = traffic(state(requests=requests))

    assert (found.requests, found.retries) == (3, 3)
    assert list(found.results) == [str(result) for result in RequestResult]
    assert found.results["answered"] == 2
    assert found.results["refused"] == 1
    assert found.results["failed"] == 0


def test_tokens_are_summed_over_all_requests() -> None:
    requests = [
        asked(prompt_tokens=100, completion_tokens=10, reasoning_tokens=4),
        asked("b", prompt_tokens=50, completion_tokens=5),
    ]
    found = traffic(state(requests=requests))

    assert (found.prompt_tokens, found.completion_tokens, found.reasoning_tokens) == (150, 15, 4)


def test_what_no_server_said_of_its_cache_is_not_zero() -> None:
    found = traffic(state(requests=[asked(prompt_tokens=100)]))

    assert found.cached_tokens is None
    assert found.cached_share is None


def test_the_share_of_cached_prompts_is_that_of_the_servers_that_say_it() -> None:
    requests = [asked(prompt_tokens=100, cached_tokens=75), asked(prompt_tokens=900)]
    found = traffic(state(requests=requests))

    assert (found.cached_tokens, found.cached_share) == (75, 0.75)


def test_where_answers_do_not_say_what_was_cached_the_servers_counters_do() -> None:
    samples = [
        sampled(10.0, server=ServerMetrics(prefix_queries=200.0, prefix_hits=50.0)),
        sampled(20.0),
    ]
    found = traffic(state(requests=[asked()], samples=samples))

    assert (found.cached_tokens, found.cached_share) == (None, 0.25)


def test_latency_is_of_answers_and_leaves_out_what_they_waited() -> None:
    requests = [
        asked(total_s=110.0, held_s=90.0, queue_s=10.0),
        asked(total_s=20.0, result=RequestResult.SWALLOWED),
        asked(total_s=30.0),
        asked(total_s=500.0, result=RequestResult.FAILED),
    ]
    found = traffic(state(requests=requests))

    assert found.latency_s == Spread(p50=20.0, p95=29.0, max=30.0)
    assert (found.held_s, found.queue_s) == (90.0, 10.0)


def test_first_tokens_are_known_of_streamed_answers_only() -> None:
    assert traffic(state(requests=[asked()])).first_token_s is None

    found = traffic(state(requests=[asked(), asked(first_token_s=0.5)]))

    assert found.first_token_s == Spread(0.5, 0.5, 0.5)


def test_requests_without_samples_say_nothing_of_outages_and_speed() -> None:
    found = traffic(state(requests=[asked()]))

    assert (found.outages, found.outage_s, found.completion_tokens_per_s) == (None, None, None)


def test_samples_alone_tell_of_outages() -> None:
    found = traffic(state(samples=[sampled(10.0, down_s=10.0, outages=1)]))

    assert (found.requests, found.outages, found.outage_s) == (0, 1, 10.0)
    assert found.latency_s is None


def test_outages_are_as_many_as_began() -> None:
    samples = [
        sampled(10.0, down_s=4.0, outages=2),
        sampled(20.0, down_s=10.0),
        sampled(30.0, down_s=3.0),
    ]
    found = traffic(state(samples=samples))

    assert (found.outages, found.outage_s) == (2, 17.0)


def test_speed_is_over_the_time_in_which_a_server_was_up_and_had_work() -> None:
    samples = [
        sampled(10.0, completion_tokens=900),
        sampled(20.0, completion_tokens=100, down_s=8.0),
        sampled(30.0, down_s=10.0),
        # grades are left, and no rollout
        sampled(40.0, rollouts=0),
    ]

    assert traffic(state(samples=samples)).completion_tokens_per_s == pytest.approx(
        1000 / 12, abs=1e-4
    )


def test_tokens_per_resolved_instance_are_those_of_all_attempts() -> None:
    requests = [asked("a", prompt_tokens=90), asked("b", completion_tokens=10)]
    seen = state(rolled("c", usage=Usage(1, 100, 0)), requests=requests)

    assert traffic(seen, resolved=2).tokens_per_resolved == 100.0
    assert traffic(seen, resolved=0).tokens_per_resolved is None


def test_an_attempts_cost_is_that_of_its_requests() -> None:
    requests = [
        asked("a", attempt=2, prompt_tokens=10, completion_tokens=1, held_s=2.0),
        asked("a", attempt=1, prompt_tokens=5),
        asked("a", attempt=2, prompt_tokens=20, completion_tokens=2, held_s=1.0),
    ]
    seen = state(failed("a", 1), rolled("a", 2, usage=Usage(9, 9, 9)), requests=requests)

    assert rollout_costs(seen) == (
        RolloutCost("a", 1, 1, 5, 0, 0.0),
        RolloutCost("a", 2, 2, 30, 3, 3.0),
    )


def test_an_attempt_that_was_killed_with_its_driver_has_a_cost_and_no_row() -> None:
    (cost,) = rollout_costs(state(requests=[asked("a", prompt_tokens=7)]))

    assert cost == RolloutCost("a", 1, 1, 7, 0, 0.0)


def test_an_attempt_without_recorded_requests_costs_what_its_agent_counted() -> None:
    (cost,) = rollout_costs(state(rolled("a", usage=Usage(3, 100, 10, 5.0, 2.0))))

    assert cost == RolloutCost("a", 1, 3, 100, 10, 2.0)
    assert cost.tokens == 110


def test_swallowed_answers_are_warned_of_with_their_cure() -> None:
    requests = [asked()] * 3 + [asked(result=RequestResult.SWALLOWED)]

    assert list(model_usage_warnings(requests)) == [f"{SWALLOWED} (1 of 4 answers)"]


def test_many_refused_requests_are_warned_of_with_their_statuses() -> None:
    refused = [asked(result=RequestResult.REFUSED, status=status) for status in (400, 404, 400)]

    (warning,) = model_usage_warnings([asked(), *refused])

    assert warning.startswith("servers refused 3 of 4 requests (HTTP 400: 2 x, 404: 1 x): ")


def test_many_failed_requests_are_warned_of() -> None:
    failed_ones = [asked(result=RequestResult.FAILED, status=502)] * 10

    (warning,) = model_usage_warnings([asked()] * 5000 + failed_ones)

    assert warning.startswith("10 of 5,010 requests failed for good (HTTP 502: 10 x)")


@pytest.mark.parametrize("result", [RequestResult.REFUSED, RequestResult.FAILED])
def test_one_failure_among_many_answers_is_not_worth_a_warning(result: RequestResult) -> None:
    assert list(model_usage_warnings([asked()] * 200 + [asked(result=result)])) == []


def test_rollouts_that_ended_before_their_answer_are_no_reason_for_a_warning() -> None:
    assert list(model_usage_warnings([asked(result=RequestResult.ABANDONED)] * 50)) == []
