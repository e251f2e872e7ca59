"""The simulated server keeps its books, and behaves as vLLM does where it is driven too hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.driver.admission import Admission
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.types import ModelRequest
from simulation.planned_rollouts import NO_LIMITS, PlannedStep, draw_rollouts
from simulation.simulated_night import SimulatedNight
from simulation.simulated_outages import Outage, Trouble
from simulation.vllm_simulator import ServerProfile, SimulatedAnswer, SimulatedServer

pytestmark = pytest.mark.slow

LARGE, SMALL = 1_500_000, 80_000
LONG_S = 1e9


def make_night(
    kv_tokens: int, slots: int, count: int = 20, seed: int = 1, **more: Any
) -> SimulatedNight:
    profile = ServerProfile(kv_tokens)
    rollouts = draw_rollouts(count, seed)
    return SimulatedNight(rollouts, profile=profile, slots=slots, limits=NO_LIMITS, **more)


def night_of(kv_tokens: int, slots: int, **more: Any) -> SimulatedNight:
    """A whole one."""
    night = make_night(kv_tokens, slots, **more)
    night.run()
    return night


def requests_of(night: SimulatedNight) -> Sequence[ModelRequest]:
    return night.journal.state().requests


def ends_s(night: SimulatedNight) -> list[float]:
    return [request.started_at + request.total_s for request in requests_of(night)]


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
    night = night_of(kv_tokens, limit)
    metrics = metrics_of(night)
    steps = [step for rollout in draw_rollouts(20, 1) for step in rollout]

    assert len(requests_of(night)) == len(steps) == metrics.queued == metrics.first_tokens
    assert metrics.generation_tokens == pytest.approx(sum(s.answer_tokens for s in steps))
    assert metrics.prompt_tokens == sum(s.prompt_tokens for s in steps) == metrics.prefix_queries
    again = night.server.prefilled_tokens - (metrics.prefix_queries - metrics.prefix_hits)
    if metrics.preemptions == 0:
        assert again == pytest.approx(0, abs=1)
    else:
        assert again > 0


def test_the_cache_never_holds_more_than_it_can() -> None:
    night = make_night(SMALL, 12, count=12, seed=2)
    for _ in night.events():
        assert night.server.cached_tokens <= SMALL + 1e-3


def test_a_cache_with_room_finds_all_but_what_is_new() -> None:
    night = night_of(LARGE, 8)
    new = sum(
        step.prompt_tokens - (earlier.prompt_tokens + earlier.answer_tokens)
        for rollout in draw_rollouts(20, 1)
        for earlier, step in zip((PlannedStep(0, 0, 0.0), *rollout), rollout, strict=False)
    )

    computed = sum(r.prompt_tokens - (r.cached_tokens or 0) for r in requests_of(night))
    assert computed == pytest.approx(new, rel=1e-3)
    assert hit_rate(night) > 0.95


def test_too_many_trajectories_for_the_cache_find_nothing_and_take_longer() -> None:
    few, many = night_of(SMALL, 2), night_of(SMALL, 16)

    assert hit_rate(few) > 0.7
    assert hit_rate(many) < 0.1
    assert few.log.ended_s < 0.7 * many.log.ended_s


@pytest.mark.slow
def test_with_room_more_at_once_are_faster() -> None:
    hours = [night_of(LARGE, limit, count=40).log.ended_s for limit in (2, 4, 8, 16)]

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
    one, other = (requests_of(night_of(SMALL, 4, count=6)) for _ in range(2))

    assert one == other
    assert draw_rollouts(3, 1) != draw_rollouts(3, 2)
    assert draw_rollouts(3, 1) == draw_rollouts(9, 1)[:3]


def test_an_outage_costs_its_time_and_all_is_answered_in_the_end() -> None:
    calm = night_of(LARGE, 8)
    outage = Outage(Trouble.RESTART, 600, 1200)
    night = night_of(LARGE, 8, outages=[outage])

    assert len(requests_of(night)) == len(requests_of(calm))
    assert not [s for s in ends_s(night) if outage.start_s < s <= outage.end_s]
    assert night.log.ended_s > calm.log.ended_s + 1100
    assert night.server.restarts == 1


def test_a_restart_empties_the_cache_and_the_counters() -> None:
    night = make_night(LARGE, 8, count=30, outages=[Outage(Trouble.RESTART, 1200, 60)])
    before = after = ServerMetrics()
    for _ in night.events():
        if night.timeline.now < 1200:
            before = metrics_of(night)
        elif night.timeline.now < 1290:
            after = metrics_of(night)
    held = [
        r for r in requests_of(night) if r.started_at < 1200 and r.started_at + r.total_s > 1260
    ]

    assert after.generation_tokens < before.generation_tokens
    assert after.prefix_hits < 0.5 * after.prefix_queries
    assert held
    assert all(request.cached_tokens == 0 for request in held)


def test_a_lower_limit_acts_as_rollouts_end() -> None:
    night = make_night(LARGE, 16, count=40)
    under_way = []
    """After each start."""
    for event in night.events():
        if isinstance(event, Start) and event.stage is Stage.ROLLOUT:
            under_way.append(len(night.scheduler.running(Stage.ROLLOUT)))
        if night.timeline.now >= 300:
            night.lane.limit = 4
        if len(night.log.finished_s) == 20:
            break

    assert (max(under_way), under_way[-1]) == (16, 4)


def test_samples_count_all_growth_and_mark_outages() -> None:
    night = night_of(LARGE, 4, count=4, outages=[Outage(Trouble.RESTART, 303, 2)])
    samples = night.journal.state().samples
    last = [rollout[-1] for rollout in draw_rollouts(4, 1)]
    unseen = sum(1 for r in requests_of(night) if r.started_at + r.total_s > samples[-1].at)

    assert [n for n, sample in enumerate(samples) if sample.is_disturbed] == [30]
    assert sum(s.answers for s in samples) == sum(len(r) for r in draw_rollouts(4, 1)) - unseen
    if not unseen:
        assert sum(s.grown_tokens for s in samples) == sum(
            s.prompt_tokens + s.answer_tokens for s in last
        )


def test_a_whole_night_under_the_controller_ends() -> None:
    night = make_night(SMALL, 8, count=30, seed=3, admission=Admission(8))

    assert len(night.run().finished_s) == 30
