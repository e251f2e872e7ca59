"""The controller by itself, on made-up samples, and then in simulated nights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation.planned_rollouts import NO_LIMITS, draw_rollouts
from simulation.simulated_night import SimulatedNight
from simulation.simulated_outages import Outage, Trouble
from simulation.vllm_simulator import ServerProfile
from support.rows import sampled

from orchestrator.driver.admission import Admission
from orchestrator.driver.executor import ModelStatus
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics

DISTURBED = sampled(
    0.0, 10.0, rollouts=6, answers=3, grown_tokens=3000, latency_s=700.0, down_s=5.0
)


def sample_of(
    rollouts: int, *, again: float = 0.0, preemptions: int = 0, kv_tokens: int | None = 10**7
) -> LoadSample:
    """Two answers a rollout to prompts of 20,000 tokens, of which so many are computed again.

    Prompts are prefilled at 3,000 tokens a second.
    """
    answers = 2 * rollouts
    computed = answers * (800 + again)
    server = ServerMetrics(
        preemptions=preemptions,
        prefix_queries=answers * 20_000,
        prefix_hits=answers * 20_000 - computed,
        generation_tokens=answers * 300,
        first_token_s=computed / 3000 + 5,
        first_tokens=answers,
        queue_s=5,
        queued=answers,
        kv_tokens=kv_tokens,
    )
    return sampled(
        0.0,
        30.0,
        rollouts=rollouts,
        answers=answers,
        grown_tokens=answers * 1100,
        latency_s=10.0,
        server=server,
    )


def blind_sample(rollouts: int, work: float, latency_s: float, seconds: float = 30.0) -> LoadSample:
    return sampled(
        0.0,
        seconds,
        rollouts=rollouts,
        answers=40,
        grown_tokens=round(work * seconds),
        latency_s=latency_s,
    )


def settle(admission: Admission, samples: int = 40, again: float = 0.0) -> None:
    for _ in range(samples):
        admission.observe(sample_of(admission.limit, again=again))


metrics = st.builds(
    ServerMetrics,
    **{
        name: st.floats(0, 1e7)
        for name in ("prefix_queries", "prefix_hits", "generation_tokens", "first_token_s")
    },
    queue_s=st.floats(0, 1e3),
    queued=st.floats(0, 1e3),
    preemptions=st.integers(0, 2).map(float),
    kv_usage=st.floats(0, 1),
    kv_tokens=st.none() | st.integers(0, 2_000_000),
)
any_sample = st.builds(
    sampled,
    at=st.just(0.0),
    seconds=st.floats(0, 300),
    rollouts=st.integers(0, 40),
    answers=st.integers(0, 200),
    grown_tokens=st.integers(0, 1_000_000),
    latency_s=st.floats(0, 1000),
    down_s=st.sampled_from([0.0, 1.0]),
    server=st.none() | metrics,
)


@given(st.integers(1, 32), st.none() | st.integers(-3, 99), st.lists(any_sample, max_size=60))
def test_the_limit_stays_between_one_and_the_slots(
    slots: int, start: int | None, samples: list[LoadSample]
) -> None:
    admission = Admission(slots, start)
    for sample in samples:
        before = admission.limit
        admission.observe(sample)
        assert 1 <= admission.limit <= slots
        assert admission.limit <= before + max(1, before // 8), "never up by more than an eighth"
        assert admission.reason


def test_less_than_one_slot_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 slots"):
        Admission(0)


def test_it_climbs_to_all_slots_while_nothing_is_lost() -> None:
    admission = Admission(32)
    settle(admission, 80)

    assert admission.limit == 32
    assert "raised from" in admission.reason


def test_it_climbs_where_the_size_of_the_cache_is_unknown() -> None:
    admission = Admission(8)
    for _ in range(40):
        admission.observe(sample_of(admission.limit, kv_tokens=None))

    assert admission.limit == 8


def test_it_does_not_climb_before_those_let_in_have_come() -> None:
    admission = Admission(32, start=4)
    for _ in range(40):
        admission.observe(sample_of(3))

    assert admission.limit == 4


def test_no_more_are_let_in_than_the_cache_has_room_for() -> None:
    admission = Admission(32)
    for _ in range(60):
        admission.observe(sample_of(admission.limit, kv_tokens=200_000))

    assert 4 <= admission.limit <= 8


def test_prompts_computed_again_lower_it_once_they_cost_more_than_a_rollout_brings() -> None:
    admission = Admission(32)
    settle(admission, 20)
    limit = admission.limit
    settle(admission, 10, again=10_000)

    assert admission.limit < limit
    assert "computed again" in admission.reason


def test_a_little_computed_again_is_tolerated() -> None:
    admission = Admission(32, start=4)
    settle(admission, 40, again=100)

    assert admission.limit > 4


def test_preemptions_lower_it() -> None:
    admission = Admission(32, start=8)
    settle(admission, 4)
    limit = admission.limit
    for _ in range(6):
        admission.observe(sample_of(admission.limit, preemptions=1))

    assert admission.limit < limit
    assert "preempted" in admission.reason


def test_it_is_not_cut_again_while_rollouts_over_the_limit_still_run() -> None:
    admission = Admission(32, start=16)
    for _ in range(8):
        admission.observe(sample_of(16, again=10_000))
    limit = admission.limit
    assert limit < 16
    for _ in range(100):
        admission.observe(sample_of(16, again=10_000))

    assert admission.limit == limit


def test_after_a_cut_it_comes_back() -> None:
    admission = Admission(16)
    settle(admission, 60)
    settle(admission, 6, again=10_000)
    low = admission.limit
    settle(admission, 400)

    assert low < 16 == admission.limit


def test_without_metrics_it_climbs_while_work_grows() -> None:
    admission = Admission(16)
    for _ in range(200):
        admission.observe(blind_sample(admission.limit, 100 * admission.limit, 10.0))

    assert admission.limit == 16


def test_without_metrics_it_backs_off_where_answers_slow_down_and_work_falls() -> None:
    def edge_at_8(rollouts: int) -> LoadSample:
        fits = rollouts <= 8
        return blind_sample(rollouts, 100 * rollouts if fits else 300, 10.0 if fits else 60.0)

    admission = Admission(32)
    limits = []
    for _ in range(1200):
        admission.observe(edge_at_8(admission.limit))
        limits.append(admission.limit)

    assert max(limits) < 16
    assert 5.5 < sum(limits[200:]) / len(limits[200:]) < 9.5


def test_without_metrics_slow_sandboxes_are_not_taken_for_a_slow_server() -> None:
    admission = Admission(16)
    for _ in range(40):
        admission.observe(blind_sample(admission.limit, 100 * admission.limit, 10.0))
    limit = admission.limit
    for _ in range(100):
        admission.observe(blind_sample(admission.limit, 50, 10.0))

    assert admission.limit == limit


@given(st.integers(0, 30), st.integers(1, 20))
def test_held_samples_change_nothing(before: int, held: int) -> None:
    admission = Admission(16)
    settle(admission, before)
    was = (admission.limit, admission.reason)
    for _ in range(held):
        admission.observe(
            replace(DISTURBED, server=sample_of(6, again=15_000, preemptions=3).server)
        )

    assert (admission.limit, admission.reason) == was


def make_night(kv_tokens: int, count: int, seed: int, slots: int, **more: Any) -> SimulatedNight:
    return SimulatedNight(
        draw_rollouts(count, seed),
        profile=ServerProfile(kv_tokens),
        limits=NO_LIMITS,
        slots=slots,
        request_timeout_s=float("inf"),
        **more,
    )


@pytest.mark.slow
def test_the_cold_cache_after_an_outage_is_not_taken_for_too_many_rollouts() -> None:
    outages = [Outage(Trouble.RESTART, 3600 * hour, 600) for hour in (1, 2)]
    admission = Admission(16)
    night = make_night(1_500_000, 200, 5, 16, outages=outages, admission=admission)
    for _ in night.events():
        if night.timeline.now > 3500:
            assert admission.limit == 16
        if night.timeline.now > 9000:
            break
    assert night.timeline.now > 9000


BEST_ARE_AMONG = {350_000: (7, 8, 9), 80_000: (1, 2, 3)}
"""KV tokens to numbers of rollouts at once, of which one is the best fixed number."""


@cache
def best_fixed_s(kv_tokens: int) -> float:
    """How long a night takes with the best fixed number of rollouts at once."""
    nights = [make_night(kv_tokens, 150, 7, slots) for slots in BEST_ARE_AMONG[kv_tokens]]
    return min(night.run().ended_s for night in nights)


@pytest.mark.parametrize(
    ("kv_tokens", "sees_metrics", "share"),
    [
        (350_000, True, 0.9),
        (350_000, False, 0.75),
        (80_000, True, 0.9),
        (80_000, False, 0.8),
    ],
)
@pytest.mark.slow
def test_it_comes_near_the_best_fixed_number(
    kv_tokens: int, sees_metrics: bool, share: float
) -> None:
    night = make_night(kv_tokens, 150, 7, 32, sees_metrics=sees_metrics, admission=Admission(32))

    assert night.run().finished_s[-1] <= best_fixed_s(kv_tokens) / share


@pytest.mark.slow
def test_it_does_not_swing_wildly() -> None:
    night = make_night(350_000, 200, 6, 32, admission=Admission(32))
    limits = []
    for event in night.events():
        if isinstance(event, ModelStatus):
            limits.append(night.scheduler.admitted)
        if len(night.log.finished_s) == 190:
            break
    steady = limits[len(limits) // 4 :]

    assert max(steady) - min(steady) <= 6
    assert sum(a != b for a, b in pairwise(steady)) < len(steady) / 30
