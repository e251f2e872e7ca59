"""How much time is left, as the scheduler and what was learned say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.driven_runs import Run
from support.rows import RUN_ID, key_of

from orchestrator.driver.durations import Durations, SessionDurations
from orchestrator.driver.eta import ANEW_EVERY_S, Eta
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage
from orchestrator.journal.past import PastSeconds
from orchestrator.types import FailureKind, RolloutKey

OTHER = "r2"
REPOS = {f"i{n}": "repo" for n in range(99)}


def durations(
    rollout_s: float = 0.0, grade_s: float = 0.0, other_s: float = 0.0
) -> SessionDurations:
    """By earlier runs; 0: there were none."""

    def of(seconds: float) -> Durations:
        return Durations(REPOS, PastSeconds({}, {"repo": seconds} if seconds else {}))

    return SessionDurations({RUN_ID: of(rollout_s), OTHER: of(other_s)}, of(grade_s))


def scheduler(slots: int = 2, grade_slots: int = 1, *lanes: Lane) -> Scheduler:
    of_runs = dict(zip((RUN_ID, OTHER), lanes or (Lane(),), strict=False))
    retries = {FailureKind.WORKER_LOST: 1}
    terms = {run_id: RunTerms(retries, 10, lane) for run_id, lane in of_runs.items()}
    return Scheduler(slots, GradingSlots.said(grade_slots), terms)


def keys(count: int, run_id: str = RUN_ID) -> list[RolloutKey]:
    return [replace(key_of(f"i{n}"), run_id=run_id) for n in range(count)]


def test_nine_grades_are_left_and_that_takes_time() -> None:
    it = scheduler()
    it.add(Stage.GRADE, keys(9))
    eta = Eta(it, durations(rollout_s=600, grade_s=40))

    found = eta.time_left(0.0)
    assert found is not None
    assert found.low_s < 360 < found.high_s
    for start in it.admit(0.0):
        it.grade_done(start.key, None, 40.0)
    later = eta.time_left(40.0)
    assert later is not None
    assert later.high_s < found.high_s


def test_nobody_knows_before_the_first_has_ended() -> None:
    it, known = scheduler(), durations()
    it.add(Stage.ROLLOUT, keys(4))
    eta = Eta(it, known)
    assert eta.time_left(0.0) is None

    known.of(Stage.ROLLOUT, RUN_ID).add("i0", 100.0)
    assert eta.time_left(0.1) is None, "it looks once in a while"
    assert eta.time_left(ANEW_EVERY_S) is not None


def test_of_two_models_the_slower_one_says_how_long_it_takes() -> None:
    it = scheduler(8, 1, Lane("fast", 4), Lane("slow", 2))
    it.add(Stage.ROLLOUT, [*keys(20), *keys(20, OTHER)])
    eta = Eta(it, durations(rollout_s=10, grade_s=0.1, other_s=600))

    found = eta.time_left(0.0)

    assert found is not None
    assert found.low_s < 20 * 600 / 2 < found.high_s


def test_after_a_stop_no_more_is_left_than_what_runs() -> None:
    it = scheduler(1)
    it.add(Stage.ROLLOUT, keys(20))
    it.admit(0.0)
    it.stopping = True
    eta = Eta(it, durations(rollout_s=100, grade_s=1))

    found = eta.time_left(0.0)
    assert found is not None
    assert found.high_s < 1000
    it.rollout_done(key_of("i0"), None, wants_grade=True, now=50.0)
    assert eta.time_left(50.0) is None


def test_a_failure_that_is_redone_is_left_and_one_that_is_not_is_not() -> None:
    it = scheduler(1)
    it.add(Stage.ROLLOUT, keys(1))
    eta = Eta(it, durations(rollout_s=100, grade_s=1))
    (start,) = it.admit(0.0)
    it.rollout_done(start.key, FailureKind.WORKER_LOST, wants_grade=False, now=9.0)
    assert eta.time_left(9.0) is not None

    (start,) = it.admit(99.0)
    it.rollout_done(start.key, FailureKind.WORKER_LOST, wants_grade=False, now=199.0)
    assert eta.time_left(199.0) is None


@pytest.mark.slow
@pytest.mark.parametrize("with_past", [False, True])
def test_a_run_says_a_range_until_its_last_grade(run: Callable[..., Run], with_past: bool) -> None:
    it = run(3)
    repos = {i.instance_id: i.repo for i in it.dataset.instances}
    past = PastSeconds({}, dict.fromkeys(repos.values(), 5.0)) if with_past else PastSeconds()
    known = SessionDurations(
        {it.config.run_id: Durations(repos, past)}, Durations(repos, past), True
    )
    it.durations = known
    driver = it.make_driver()
    said = [driver.time_left(100.0 * n) for n, _ in enumerate(driver.events(it.plan))]

    assert any(one is not None for one in said)
    assert (said[0] is not None) is with_past
    assert all(one is None or one.low_s >= 1 for one in said)
    assert driver.time_left(1e9) is None
