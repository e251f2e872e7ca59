"""The simulated server keeps its books, and behaves as vLLM does where it is driven too hard."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from orchestrator.driver.admission import Admission
from orchestrator.endpoint.metrics import ServerMetrics
from simulation.simulated_night import (
    PlannedStep,
    SimulatedNight,
    Watcher,
    draw_rollouts,
    run_under,
)
from simulation.vllm_simulator import ServerProfile, SimulatedAnswer, SimulatedServer

LARGE, SMALL = 1_500_000, 80_000
LONG_S = 1e9


def night_of(
    kv_tokens: int, limit: int, count: int = 20, seed: int = 1
) -> tuple[SimulatedNight, list[SimulatedAnswer]]:
    server = SimulatedServer(ServerProfile(kv_tokens))
    night = SimulatedNight(draw_rollouts(count, seed), server, limit)
    return night, night.advance(LONG_S)


def metrics_of(night: SimulatedNight) -> ServerMetrics:
    metrics = night.server.metrics()
    assert metrics is not None
    return metrics


def hit_rate(night: SimulatedNight) -> float:
    metrics = metrics_of(night)
    return metrics.prefix_hits / metrics.prefix_queries


def test_one_request_takes_its_prefill_and_its_tokens() -> None:
    server = SimulatedServer(ServerProfile(LARGE, chunk_tokens=3000))
    server.submit(0, prompt_tokens=3000, answer_tokens=100)
    server.advance(server.next_event_s())
    (answer,) = server.advance(server.next_event_s())

    assert answer.first_token_s == pytest.approx(1.02)
    assert answer.latency_s == pytest.approx(1.02 + 100 * 0.0222)


def test_a_batch_decodes_more_tokens_a_second_but_each_stream_fewer() -> None:
    def seconds(streams: int) -> float:
        server = SimulatedServer(ServerProfile(LARGE, prefill_tokens_per_s=1e9))
        for stream in range(streams):
            server.submit(stream, 10, 500)
        while server.next_event_s() < LONG_S:
            server.advance(server.next_event_s())
        return server.now

    assert seconds(1) < seconds(16) < 16 * seconds(1)
    assert 500 / seconds(1) == pytest.approx(45, abs=2)
    assert 16 * 500 / seconds(16) == pytest.approx(290, abs=20)


@pytest.mark.parametrize(("kv_tokens", "limit"), [(SMALL, 8), (350_000, 12), (LARGE, 32)])
def test_every_token_is_generated_once_and_prefilled_or_found(kv_tokens: int, limit: int) -> None:
    night, answers = night_of(kv_tokens, limit)
    metrics = metrics_of(night)
    steps = [step for rollout in draw_rollouts(20, 1) for step in rollout]

    assert len(answers) == len(steps) == metrics.queued == metrics.first_tokens
    assert metrics.generation_tokens == pytest.approx(sum(s.answer_tokens for s in steps))
    assert metrics.prompt_tokens == sum(s.prompt_tokens for s in steps) == metrics.prefix_queries
    again = night.server.prefilled_tokens - (metrics.prefix_queries - metrics.prefix_hits)
    if metrics.preemptions == 0:
        assert again == pytest.approx(0, abs=1)
    else:
        assert again > 0


def test_the_cache_never_holds_more_than_it_can() -> None:
    server = SimulatedServer(ServerProfile(SMALL))
    night = SimulatedNight(draw_rollouts(12, 2), server, 12)
    while not night.is_over:
        night.advance(night.now + 7)
        assert server.cached_tokens <= SMALL + 1e-3


def test_a_cache_with_room_finds_all_but_what_is_new() -> None:
    night, answers = night_of(LARGE, 8)
    new = sum(
        step.prompt_tokens - (earlier.prompt_tokens + earlier.answer_tokens)
        for rollout in draw_rollouts(20, 1)
        for earlier, step in zip((PlannedStep(0, 0, 0.0), *rollout), rollout, strict=False)
    )

    assert sum(a.prompt_tokens - a.cached_tokens for a in answers) == pytest.approx(new, rel=1e-3)
    assert hit_rate(night) > 0.95


def test_too_many_trajectories_for_the_cache_find_nothing_and_take_longer() -> None:
    (few, _), (many, _) = night_of(SMALL, 2), night_of(SMALL, 16)

    assert hit_rate(few) > 0.7
    assert hit_rate(many) < 0.1
    assert few.now < 0.7 * many.now


def test_with_room_more_at_once_are_faster() -> None:
    hours = [night_of(LARGE, limit, count=40)[0].now for limit in (2, 4, 8, 16)]

    assert hours == sorted(hours, reverse=True)


def test_running_requests_that_outgrow_the_cache_are_preempted_and_still_answered() -> None:
    server = SimulatedServer(ServerProfile(10_000))
    for stream in range(2):
        server.submit(stream, 4500, 900)
    answers: list[SimulatedAnswer] = []
    while server.next_event_s() < LONG_S:
        answers += server.advance(server.next_event_s())
    metrics = server.metrics()

    assert metrics is not None
    assert metrics.preemptions == 1
    assert [a.rollout for a in answers] == [0, 1]
    assert metrics.generation_tokens == pytest.approx(1800)


def test_a_request_that_can_never_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        SimulatedServer(ServerProfile(1000)).submit(0, 900, 101)


def test_the_same_seed_gives_the_same_night_and_another_one_another() -> None:
    assert [astuple(a) for a in night_of(SMALL, 4)[1]] == [
        astuple(a) for a in night_of(SMALL, 4)[1]
    ]
    assert draw_rollouts(3, 1) != draw_rollouts(3, 2)
    assert draw_rollouts(3, 1) == draw_rollouts(9, 1)[:3]


def test_an_outage_costs_its_time_and_all_is_answered_in_the_end() -> None:
    calm, calm_answers = night_of(LARGE, 8)
    server = SimulatedServer(ServerProfile(LARGE))
    server.fail_at(600, 1200)
    night = SimulatedNight(draw_rollouts(20, 1), server, 8)
    answers = night.advance(700)
    assert server.is_away
    assert server.metrics() is None
    assert night.advance(1799) == []
    answers += night.advance(LONG_S)

    assert len(answers) == len(calm_answers)
    assert night.now > calm.now + 1100
    assert server.outages == 1


def test_a_restart_empties_the_cache_and_the_counters() -> None:
    server = SimulatedServer(ServerProfile(LARGE))
    server.fail_at(1200, 60)
    night = SimulatedNight(draw_rollouts(30, 1), server, 8)
    night.advance(1199)
    before = metrics_of(night)
    answers = night.advance(1290)
    after = metrics_of(night)

    assert after.generation_tokens < before.generation_tokens
    assert after.prefix_hits < 0.5 * after.prefix_queries
    assert all(a.cached_tokens == 0 for a in answers if a.at_s > 1260 and a.latency_s > 60)


def test_a_lower_limit_acts_as_rollouts_end() -> None:
    night = SimulatedNight(draw_rollouts(40, 1), SimulatedServer(ServerProfile(LARGE)), 16)
    night.advance(300)
    night.limit = 4
    assert night.under_way > 4
    while len(night.finished_s) < 20:
        night.advance(night.now + 60)

    assert night.under_way == 4


def test_the_watcher_counts_all_growth_and_marks_outages() -> None:
    server = SimulatedServer(ServerProfile(LARGE))
    server.fail_at(303, 2)
    night = SimulatedNight(draw_rollouts(4, 1), server, 4)
    watcher = Watcher(night)
    samples = []
    while not night.is_over:
        samples.append(watcher.watch())
    last = [rollout[-1] for rollout in draw_rollouts(4, 1)]

    assert [n for n, sample in enumerate(samples) if sample.is_disturbed] == [30]
    assert sum(s.grown_tokens for s in samples) == sum(
        s.prompt_tokens + s.answer_tokens for s in last
    )
    assert sum(s.answers for s in samples) == sum(len(r) for r in draw_rollouts(4, 1))


def test_a_whole_night_under_the_controller_ends() -> None:
    night = SimulatedNight(draw_rollouts(30, 3), SimulatedServer(ServerProfile(SMALL)), 1)
    run_under(Admission(8), night)

    assert len(night.finished_s) == 30
