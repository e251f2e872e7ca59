"""The scheduler's rules one by one. `test_scheduler_machine.py` tries them all together."""

from __future__ import annotations

from support.rows import RUN_ID, key_of

from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.lanes import Lane
from orchestrator.driver.pauses import FIRST_PAUSE_S
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage, Start
from orchestrator.types import FailureKind

RETRIES = {
    FailureKind.WORKER_LOST: 2,
    FailureKind.SHARED_WORKER_LOST: 5,
    FailureKind.ENDPOINT_UNAVAILABLE: 5,
    FailureKind.SANDBOX_UNAVAILABLE: 9,
    FailureKind.AGENT_CRASHED: 9,
}


def make(rollouts: int = 2, grades: int = 1, work: int = 5, delay_s: float = 10.0) -> Scheduler:
    scheduler = Scheduler(
        rollouts, GradingSlots.said(grades), {RUN_ID: RunTerms(RETRIES, delay_s, Lane())}
    )
    scheduler.add(Stage.ROLLOUT, [key_of(f"i{n}", 1) for n in range(work)])
    return scheduler


def lane_of(scheduler: Scheduler) -> Lane:
    (lane,) = scheduler.lanes
    return lane


def ids(starts: list[Start]) -> list[str]:
    return [start.key.instance_id for start in starts]


def end(
    scheduler: Scheduler, starts: list[Start], failure: FailureKind | None, now: float = 0.0
) -> None:
    for start in starts:
        scheduler.rollout_done(start.key, failure, wants_grade=False, now=now)


def test_as_many_start_as_there_are_slots_in_order() -> None:
    scheduler = make(rollouts=2)

    assert ids(scheduler.admit(0)) == ["i0", "i1"]
    assert scheduler.admit(0) == []
    assert scheduler.running(Stage.ROLLOUT) == {key_of("i0"), key_of("i1")}
    assert scheduler.waiting(Stage.ROLLOUT) == 3


def test_an_end_makes_room() -> None:
    scheduler = make(rollouts=2)
    end(scheduler, scheduler.admit(0)[:1], None)

    assert ids(scheduler.admit(0)) == ["i2"]


def test_grades_come_first() -> None:
    scheduler = make(rollouts=2)
    first = scheduler.admit(0)[0]
    scheduler.rollout_done(first.key, None, wants_grade=True, now=0)

    assert [start.stage for start in scheduler.admit(0)] == [Stage.GRADE, Stage.ROLLOUT]


def test_a_failure_comes_back_under_the_next_attempt_after_its_delay() -> None:
    scheduler = make(rollouts=1, work=1)
    end(scheduler, scheduler.admit(0), FailureKind.WORKER_LOST, now=0)

    assert scheduler.admit(9.9) == []
    assert scheduler.admit(10) == [Start(Stage.ROLLOUT, key_of("i0", 2))]


def test_the_delay_doubles_and_the_budget_ends() -> None:
    scheduler = make(rollouts=1, work=1)
    end(scheduler, scheduler.admit(0), FailureKind.WORKER_LOST, now=0)
    end(scheduler, scheduler.admit(10), FailureKind.WORKER_LOST, now=10)
    assert scheduler.admit(29.9) == []
    end(scheduler, scheduler.admit(30), FailureKind.WORKER_LOST, now=30)

    assert scheduler.is_finished


def test_each_kind_of_failure_has_a_budget_of_its_own() -> None:
    scheduler = make(rollouts=1, work=1, delay_s=0)
    kinds = [FailureKind.WORKER_LOST] * 2 + [FailureKind.AGENT_CRASHED]
    for kind in kinds:
        end(scheduler, scheduler.admit(0), kind)

    assert ids(scheduler.admit(0)) == ["i0"]


def test_who_loses_its_worker_in_company_again_and_again_runs_alone() -> None:
    scheduler = make(rollouts=3, work=3, delay_s=0)
    alone = []
    for _ in range(3):
        starts = scheduler.admit(0)
        alone.append([start.alone for start in starts])
        end(scheduler, starts, FailureKind.SHARED_WORKER_LOST)

    assert alone == [[False] * 3, [False] * 3, [True] * 3]
    again = scheduler.admit(0)
    for _ in range(2):  # what was lost in company counts against nobody
        end(scheduler, again[:1], FailureKind.WORKER_LOST)
        again = scheduler.admit(0)
    assert len(again) == 1


def test_a_worker_that_dies_with_all_that_it_runs_pauses_nothing() -> None:
    scheduler = make(rollouts=5, work=10)
    end(scheduler, scheduler.admit(0), FailureKind.SHARED_WORKER_LOST)

    assert scheduler.hold(0) is None
    assert len(scheduler.admit(0)) == 5


def test_rollouts_whose_images_are_still_to_come_keep_no_core_from_grades() -> None:
    grading = GradingSlots(4, "", cores=4, rollout_cores=1.0)
    scheduler = Scheduler(4, grading, {RUN_ID: RunTerms(RETRIES, 10.0, Lane())})
    scheduler.add(Stage.ROLLOUT, [key_of(f"i{n}", 1) for n in range(4)])
    assert scheduler.grades_at_once == 1
    scheduler.is_ready = lambda key: key.instance_id == "i0"

    assert scheduler.grades_at_once == 3


def test_a_grade_has_a_process_of_its_own_anyway() -> None:
    scheduler = make(work=0)
    scheduler.add(Stage.GRADE, [key_of("i0", 1)])
    for _ in range(3):
        (start,) = scheduler.admit(1e9)
        assert not start.alone
        scheduler.grade_done(start.key, FailureKind.SHARED_WORKER_LOST, now=0)


def test_a_failure_without_a_budget_is_not_redone() -> None:
    scheduler = make(rollouts=1, work=1)
    end(scheduler, scheduler.admit(0), FailureKind.INTERRUPTED)

    assert scheduler.is_finished


def test_a_retry_does_not_hold_up_what_may_start() -> None:
    scheduler = make(rollouts=1, work=2)
    end(scheduler, scheduler.admit(0), FailureKind.WORKER_LOST)

    assert ids(scheduler.admit(0)) == ["i1"]


def test_a_grade_that_failed_is_redone_under_its_own_attempt() -> None:
    scheduler = make(work=0)
    scheduler.add(Stage.GRADE, [key_of("i0", 3)])
    (start,) = scheduler.admit(0)
    scheduler.grade_done(start.key, FailureKind.WORKER_LOST, now=0)

    assert scheduler.admit(10) == [Start(Stage.GRADE, key_of("i0", 3))]


def why_held(scheduler: Scheduler, now: float) -> str:
    hold = scheduler.hold(now)
    return hold.text if hold else ""


def test_an_endpoint_that_is_away_admits_no_rollout_until_it_is_back() -> None:
    scheduler = make(rollouts=1, delay_s=0)
    lane_of(scheduler).away = "it hangs"

    assert "away" in why_held(scheduler, 1e9)
    assert scheduler.admit(1e9) == []
    assert not scheduler.is_finished
    lane_of(scheduler).away = ""
    assert ids(scheduler.admit(1e9)) == ["i0"]


def test_an_endpoint_that_is_away_does_not_keep_grades() -> None:
    scheduler = make()
    scheduler.add(Stage.GRADE, [key_of("g", 1)])
    lane_of(scheduler).away = "it hangs"

    assert ids(scheduler.admit(0)) == ["g"]


def test_a_full_disk_admits_grades_only() -> None:
    scheduler = make()
    scheduler.add(Stage.GRADE, [key_of("g", 1)])
    scheduler.disk_low_since = 0.0

    assert ids(scheduler.admit(0)) == ["g"]
    assert "disk" in why_held(scheduler, 0)
    assert not scheduler.is_idle


def test_failures_in_a_row_pause_and_then_one_goes_ahead() -> None:
    scheduler = make(rollouts=3, work=20, delay_s=0)
    end(scheduler, scheduler.admit(0), FailureKind.SANDBOX_UNAVAILABLE, now=0)

    assert "3 rollouts failed in a row" in why_held(scheduler, 0)
    assert scheduler.admit(FIRST_PAUSE_S - 0.1) == []
    assert len(scheduler.admit(FIRST_PAUSE_S)) == 1
    assert scheduler.admit(FIRST_PAUSE_S) == []


def test_a_pause_is_about_one_thing_however_many_fail_in_it_and_the_next_about_another() -> None:
    scheduler = make(rollouts=6, work=20, delay_s=0)
    holds = []
    for now, key in enumerate(scheduler.admit(0)):
        end(scheduler, [key], FailureKind.SANDBOX_UNAVAILABLE, now=now)
        holds.append(scheduler.hold(now))
    paused = [hold for hold in holds if hold is not None]
    assert len(paused) == 1, "as many as slots"

    scout = scheduler.admit(1000)
    assert scheduler.hold(1000) is None
    end(scheduler, scout, FailureKind.SANDBOX_UNAVAILABLE, now=1000)
    paused.append(scheduler.hold(1001))
    paused.append(scheduler.hold(1010))

    assert [hold.until for hold in paused] == [5 + FIRST_PAUSE_S, *2 * [1000 + 2 * FIRST_PAUSE_S]]
    assert paused[0].about != paused[1].about
    assert paused[1] == paused[2], "nothing in it changes from second to second"


def test_grades_that_fail_in_a_row_pause_too_and_lose_nothing() -> None:
    scheduler = make(delay_s=0)
    scheduler.add(Stage.GRADE, [key_of(f"g{n}", 1) for n in range(5)])
    for _ in range(3):
        (start,) = [s for s in scheduler.admit(0) if s.stage is Stage.GRADE]
        scheduler.grade_done(start.key, FailureKind.HARNESS_UNAVAILABLE, 0)

    assert "grades failed in a row" in why_held(scheduler, 0)
    assert not [s for s in scheduler.admit(FIRST_PAUSE_S - 1) if s.stage is Stage.GRADE]
    assert [s for s in scheduler.admit(FIRST_PAUSE_S) if s.stage is Stage.GRADE]


def test_grades_that_are_too_slow_on_this_host_are_no_reason_to_pause() -> None:
    """It is no faster after a pause; and the next instance's tests may be short."""
    scheduler = make(delay_s=0)
    scheduler.add(Stage.GRADE, [key_of(f"g{n}", 1) for n in range(5)])
    for _ in range(5):
        (start,) = [s for s in scheduler.admit(0) if s.stage is Stage.GRADE]
        scheduler.grade_done(start.key, FailureKind.TESTS_TOO_SLOW, 0)

    assert why_held(scheduler, 0) == ""


def test_the_pause_doubles_while_it_goes_on_and_a_success_ends_it() -> None:
    scheduler = make(rollouts=3, work=20, delay_s=0)
    end(scheduler, scheduler.admit(0), FailureKind.SANDBOX_UNAVAILABLE, now=0)
    scout = scheduler.admit(30)
    end(scheduler, scout, FailureKind.SANDBOX_UNAVAILABLE, now=30)
    assert scheduler.admit(30 + 2 * FIRST_PAUSE_S - 1) == []

    scout = scheduler.admit(30 + 2 * FIRST_PAUSE_S)
    end(scheduler, scout, None, now=100)

    assert why_held(scheduler, 100) == ""
    assert len(scheduler.admit(100)) == 3


def test_agents_that_crash_are_no_reason_to_pause() -> None:
    scheduler = make(rollouts=4, work=20, delay_s=0)
    end(scheduler, scheduler.admit(0), FailureKind.AGENT_CRASHED)

    assert len(scheduler.admit(0)) == 4


def test_a_stop_admits_nothing_more_and_is_over_when_what_runs_is() -> None:
    scheduler = make(rollouts=2)
    scheduler.add(Stage.GRADE, [key_of("g", 1)])
    rolling = [start for start in scheduler.admit(0) if start.stage is Stage.ROLLOUT]
    scheduler.stopping = True

    end(scheduler, rolling, None)
    assert scheduler.admit(0) == []
    assert not scheduler.is_finished
    scheduler.grade_done(key_of("g", 1), None, 0)
    assert scheduler.is_finished


def test_nothing_to_do_is_finished() -> None:
    assert make(work=0).is_finished
    assert why_held(make(work=0), 0) == ""


def test_a_bug_at_as_many_instances_as_slots_is_met_and_a_success_takes_it_back() -> None:
    scheduler = make(rollouts=4, work=9)
    starts = scheduler.admit(0)
    end(scheduler, starts[:3], FailureKind.INTERNAL_ERROR)
    assert not scheduler.has_met_a_bug
    end(scheduler, starts[3:], FailureKind.INTERNAL_ERROR)
    assert scheduler.has_met_a_bug

    end(scheduler, scheduler.admit(0)[:1], None)
    assert not scheduler.has_met_a_bug


def test_a_bug_at_one_instance_is_none_however_often_it_is_redone() -> None:
    scheduler = Scheduler(
        1, GradingSlots.said(1), {RUN_ID: RunTerms({FailureKind.INTERNAL_ERROR: 9}, 0)}
    )
    scheduler.add(Stage.ROLLOUT, [key_of("i0", 1)])
    for _ in range(10):
        end(scheduler, scheduler.admit(0), FailureKind.INTERNAL_ERROR)

    assert scheduler.is_finished
    assert not scheduler.has_met_a_bug


def test_a_bug_in_grades_does_not_end_rollouts() -> None:
    scheduler = make(work=0)
    for n in range(9):
        scheduler.grade_done(key_of(f"g{n}"), FailureKind.INTERNAL_ERROR, 0)

    assert not scheduler.has_met_a_bug


def test_sandboxes_that_agents_break_are_no_reason_to_pause() -> None:
    scheduler = make(rollouts=4, work=20, delay_s=0)
    end(scheduler, scheduler.admit(0), FailureKind.SANDBOX_BROKEN)

    assert len(scheduler.admit(0)) == 4


def test_grades_that_wait_start_the_longest_first_and_those_of_one_length_as_they_came() -> None:
    scheduler = make(grades=1, work=0)
    seconds = {"i1": 9.0, "i3": 40.0}
    scheduler.sort(Stage.GRADE, lambda key: -seconds.get(key.instance_id, 20.0))
    scheduler.add(Stage.GRADE, [key_of(f"i{n}") for n in range(5)])

    order = []
    while starts := scheduler.admit(0):
        order += ids(starts)
        scheduler.grade_done(starts[0].key, None, 0)

    assert order == ["i3", "i0", "i2", "i4", "i1"]


def test_what_is_learned_meanwhile_sorts_what_waits() -> None:
    scheduler, seconds = make(rollouts=1, work=4), dict[str, float]()
    scheduler.sort(Stage.ROLLOUT, lambda key: -seconds.get(key.instance_id, 0.0))
    (first,) = scheduler.admit(0)
    assert first.key == key_of("i0")

    seconds["i2"] = 5.0
    end(scheduler, [first], None)
    assert ids(scheduler.admit(0)) == ["i2"]


def test_a_failure_that_is_redone_comes_after_what_has_not_run_however_long_it_takes() -> None:
    scheduler = make(rollouts=1, work=2)
    scheduler.sort(Stage.ROLLOUT, lambda key: -float(key.instance_id == "i0"))
    end(scheduler, scheduler.admit(0), FailureKind.WORKER_LOST, now=0)

    assert ids(scheduler.admit(99)) == ["i1"]


def test_what_is_given_back_is_the_first_again() -> None:
    scheduler = make(rollouts=1, work=3)
    scheduler.sort(Stage.ROLLOUT, lambda key: -float(key.instance_id == "i2"))
    (start,) = scheduler.admit(0)
    assert start.key == key_of("i2")
    scheduler.sort(Stage.ROLLOUT, lambda key: -float(key.instance_id == "i1"))

    scheduler.give_back(start.key)

    assert ids(scheduler.admit(0)) == ["i2"]
