"""The real driver and the real gateway policy, in nights in which the server goes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from orchestrator.driver.admission import Admission
from orchestrator.types import FailureKind, Outcome
from simulation.planned_rollouts import LIMITS, draw_rollouts_near_limits
from simulation.simulated_night import NightLog, SimulatedNight
from simulation.simulated_outages import SHORT, Outage, Trouble, draw_outages
from simulation.vllm_simulator import ServerProfile, SimulatedServer

pytestmark = pytest.mark.slow

SLOTS = 12
WHOLE = 250
"""Rollouts that take some 8 hours."""
PART = 60
"""Some 2 hours."""
LOST_SHARE = 0.02
LONG_S = 2400.0
COLD_S = 150.0
"""What all prompts under way take to be computed again after a restart, roughly."""


@cache
def calm(count: int, seed: int) -> NightLog:
    """The same night without outages."""
    return night_of(count, seed).run()


def disturbed(count: int, seed: int, outages: Sequence[Outage]) -> NightLog:
    return night_of(count, seed, outages).run()


def night_of(count: int, seed: int, outages: Sequence[Outage] = (), **more: Any) -> SimulatedNight:
    rollouts = draw_rollouts_near_limits(count, seed)
    return SimulatedNight(rollouts, outages, seed=seed, admission=Admission(SLOTS), **more)


def lost_s(night: NightLog, undisturbed: NightLog, outages: Sequence[Outage]) -> float:
    """How much longer the night took, less the time that the server was away."""
    return night.ended_s - undisturbed.ended_s - sum(outage.seconds for outage in outages)


def drifts_s(night: NightLog, undisturbed: NightLog) -> list[float]:
    """By how much more of their time limit rollouts took that did not reach it."""
    return [
        night.agent_s[name] - undisturbed.agent_s[name]
        for name, outcome in undisturbed.outcomes.items()
        if outcome is not Outcome.TIME_LIMIT
    ]


def assert_as_if_nothing_had_been(night: NightLog, undisturbed: NightLog) -> None:
    assert night.outcomes == undisturbed.outcomes
    assert night.failures == []
    assert set(night.starts.values()) == {1}
    assert all(result.patch for result in night.results)
    assert len(night.results) == len(undisturbed.results)


@pytest.mark.parametrize("seed", [1, 6, 17])
def test_a_night_with_outages_loses_their_time_and_nothing_else(seed: int) -> None:
    undisturbed = calm(WHOLE, seed)
    outages = draw_outages(undisturbed.ended_s, seed)
    night = disturbed(WHOLE, seed, outages)

    assert undisturbed.ended_s == pytest.approx(8 * 3600, rel=0.05)
    assert len(outages) == 22
    assert sum(outage.seconds > 2000 for outage in outages) == 1
    assert_as_if_nothing_had_been(night, undisturbed)
    assert lost_s(night, undisturbed, outages) < LOST_SHARE * undisturbed.ended_s
    assert median(drifts_s(night, undisturbed)) < 20
    assert max(drifts_s(night, undisturbed)) < 2 * COLD_S


def test_a_night_has_rollouts_that_a_counted_outage_would_end() -> None:
    """Else the nights here would prove little."""
    night = calm(PART, 1)
    near = [name for name, s in night.agent_s.items() if 0.9 < s / LIMITS.time_limit_s < 0.97]

    assert {Outcome.SUBMITTED, Outcome.STEP_LIMIT, Outcome.TIME_LIMIT} == set(
        night.outcomes.values()
    )
    assert sum(night.outcomes[name] is not Outcome.TIME_LIMIT for name in near) >= 3


@pytest.mark.parametrize("trouble", SHORT)
def test_short_outages_of_every_kind_cost_little_more_than_their_time(trouble: Trouble) -> None:
    undisturbed = calm(PART, 1)
    outages = draw_outages(
        undisturbed.ended_s, 1, long_s=0, restart_s=0, short=5, troubles=[trouble]
    )
    night = disturbed(PART, 1, outages)

    assert_as_if_nothing_had_been(night, undisturbed)
    # a request that is lost half-way is asked again from its start, and answers take some 40 s
    assert lost_s(night, undisturbed, outages) < 40 * len(outages)


@pytest.mark.parametrize("trouble", Trouble)
def test_a_long_outage_of_every_kind_is_held_out(trouble: Trouble) -> None:
    undisturbed = calm(PART, 1)
    outages = [Outage(trouble, 3000.0, LONG_S)]
    night = disturbed(PART, 1, outages)

    assert_as_if_nothing_had_been(night, undisturbed)
    assert lost_s(night, undisturbed, outages) < COLD_S
    assert max(drifts_s(night, undisturbed)) < COLD_S
    (down,) = night.waits.down
    assert down[1] - down[0] == pytest.approx(LONG_S, abs=120)


@pytest.mark.parametrize("seconds", [120.0, 600.0])
def test_an_engine_that_hangs_is_on_no_agents_account_once_it_was_noticed(seconds: float) -> None:
    undisturbed = calm(PART, 1)
    outages = [Outage(Trouble.HANG, 3000.0, seconds)]
    night = disturbed(PART, 1, outages)

    assert_as_if_nothing_had_been(night, undisturbed)
    assert night.waits.lost == 0, "what stood still went on"
    assert max(drifts_s(night, undisturbed)) < 40
    assert lost_s(night, undisturbed, outages) < 30


def test_a_restart_costs_the_prompts_that_are_computed_again() -> None:
    undisturbed = calm(PART, 1)
    outages = [Outage(Trouble.RESTART, 3000.0, 90.0)]
    night = disturbed(PART, 1, outages)

    assert_as_if_nothing_had_been(night, undisturbed)
    assert 0 < lost_s(night, undisturbed, outages) < COLD_S


def test_an_outage_that_is_too_long_ends_the_run_and_a_resumed_one_does_the_rest() -> None:
    undisturbed = calm(PART, 1)
    outages = [Outage(Trouble.RESTART, 3000.0, LONG_S)]
    session = night_of(PART, 1, outages, max_outage_s=1800.0)
    first = session.run()

    assert first.ended_s == pytest.approx(3000 + 1800, abs=30), "looked at when anything happens"
    assert {r.failure.kind for r in first.failures if r.failure} == {
        FailureKind.ENDPOINT_UNAVAILABLE
    }
    assert not any(result.patch for result in first.failures)
    assert first.outcomes.items() < undisturbed.outcomes.items()
    assert set(first.starts) == {r.key.instance_id for r in first.results}, "none is left under way"

    second = night_of(PART, 1, journal=session.journal).run()
    assert not second.failures
    assert first.outcomes.keys().isdisjoint(second.outcomes)
    assert {**first.outcomes, **second.outcomes} == undisturbed.outcomes
    again = {r.key.instance_id for r in first.failures}
    assert {r.key.instance_id for r in second.results if r.key.attempt == 2} == again


def test_the_same_night_with_the_same_outages_goes_the_same_way() -> None:
    outages = draw_outages(2 * 3600, 5, long_s=300, short=4)

    assert disturbed(PART, 5, outages).results == disturbed(PART, 5, outages).results


def test_outages_do_not_meet_and_are_drawn_from_the_seed() -> None:
    outages = draw_outages(8 * 3600, 1)

    assert all(a.end_s <= b.start_s for a, b in pairwise(outages))
    assert outages == draw_outages(8 * 3600, 1) != draw_outages(8 * 3600, 2)
    assert Counter(o.trouble for o in outages if o.trouble in SHORT).keys() == set(SHORT)
    assert outages[-1].end_s < 8 * 3600


def server_at_work() -> SimulatedServer:
    server = SimulatedServer(ServerProfile(100_000))
    server.submit(0, 10_000, 500)
    server.submit(1, 10_000, 500)
    while server.now < 10:
        server.advance(min(10.0, server.next_event_s()))
    return server


def finish(server: SimulatedServer) -> dict[int, float]:
    """When each was answered."""
    answers: dict[int, float] = {}
    while server.next_event_s() < 1e9:
        answers |= {a.rollout: a.at_s for a in server.advance(server.next_event_s())}
    return answers


def test_an_aborted_request_is_not_answered_and_the_others_are_sooner() -> None:
    undisturbed, server = finish(server_at_work()), server_at_work()
    server.abort(0)
    answers = finish(server)

    assert answers.keys() == {1}
    assert answers[1] < undisturbed[1]


def test_an_engine_that_hangs_goes_on_where_it_stood() -> None:
    undisturbed, server = finish(server_at_work()), server_at_work()
    server.hang(True)
    assert server.next_event_s() > 1e9
    server.advance(110.0)
    server.hang(False)

    assert finish(server) == pytest.approx({n: at_s + 100 for n, at_s in undisturbed.items()})


def test_a_crash_forgets_requests_cache_and_counters() -> None:
    server = server_at_work()

    assert server.crash() == [0, 1]
    assert server.cached_tokens == 0
    assert finish(server) == {}
    metrics = server.metrics()
    assert metrics is not None
    assert metrics.prompt_tokens == 0
