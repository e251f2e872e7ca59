"""Two models, two runs, one night: what one server does costs the other run nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation.planned_rollouts import AgentProfile, PlannedRollout, draw_rollouts
from simulation.simulated_outages import Outage, Trouble
from simulation.two_models import TwoModelsNight

pytestmark = pytest.mark.slow

COUNT = 24
SHORT = AgentProfile(steps=(10, 25))
HOUR_S = 3600.0


@pytest.fixture(scope="module")
def rollouts() -> list[PlannedRollout]:
    return draw_rollouts(COUNT, 1, SHORT)


@pytest.fixture(scope="module")
def quiet(rollouts: list[PlannedRollout]) -> TwoModelsNight:
    night = TwoModelsNight(rollouts, COUNT / 3)
    night.run()
    return night


def assert_all_done_once(night: TwoModelsNight) -> None:
    for model in night.models.values():
        state = model.journal.state()
        assert len(state.verdicts) == COUNT
        assert Counter(row.instance_id for row in state.rollouts).most_common(1)[0][1] == 1
        assert {request.key.run_id for request in state.requests} == {model.run_id}
        assert state.samples


def test_each_image_comes_once_for_both_though_the_disk_holds_a_third(
    quiet: TwoModelsNight,
) -> None:
    assert_all_done_once(quiet)
    assert sorted(quiet.images.pulls) == sorted(i.image for i in quiet.instances)
    assert quiet.images.most_gb <= COUNT / 3


def test_a_server_that_is_away_for_an_hour_does_not_hold_up_the_other_model(
    rollouts: list[PlannedRollout], quiet: TwoModelsNight
) -> None:
    """Half of the disk stays taken by what is under way at the one that is away."""
    night = TwoModelsNight(rollouts, COUNT / 3)
    night.suffer("b", Outage(Trouble.RESTART, 60.0, HOUR_S))
    night.run()

    assert_all_done_once(night)
    assert night.images.most_gb <= COUNT / 3
    other, at_best = (n.models["a"].finished_s[-1] for n in (night, quiet))
    assert other <= 1.25 * at_best < HOUR_S, "all of it while the server was away"
    assert not [t for t in night.models["b"].finished_s if 120 < t < HOUR_S]
