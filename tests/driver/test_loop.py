"""The loop between scheduler, executor and journal, with an executor that runs nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.driven_runs import Run, SilentGateway
from support.fake_executor import FakeExecutor, ends, fails, solves

from orchestrator.driver.executor import Event, ModelStatus, Notice, Remark
from orchestrator.driver.files import read_patch
from orchestrator.driver.plan import make_plan
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.errors import JournalError
from orchestrator.gateway.messages import Availability, Listening, Message, Requested, Sampled
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeResult,
    ModelRequest,
    Outcome,
    RequestResult,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
)


@pytest.mark.slow
def test_every_instance_is_rolled_out_graded_and_predicted(run: Callable[..., Run]) -> None:
    it = run(4)
    it.drive()
    state = it.journal.state()

    assert set(state.verdicts) == set(it.ids)
    assert sorted(it.predicted()) == sorted(it.ids)
    assert make_plan(it.dataset.instances, state).is_empty


@pytest.mark.slow
def test_when_an_event_is_seen_its_files_and_its_row_are_there(run: Callable[..., Run]) -> None:
    it = run(3)

    def look(event: Any) -> None:
        if isinstance(event, RolloutResult):
            folder = it.paths.rollout(event.key)
            assert (folder / "result.json").is_file()
            assert event.key.instance_id in it.journal.state().outcomes
            assert event.key.instance_id in it.predicted()
        elif isinstance(event, GradeResult):
            assert it.paths.harness_log("scripted__mini", event.key).is_dir()
            assert event.key.instance_id in it.journal.state().verdicts

    it.drive(look)


def test_no_row_is_written_for_files_that_can_not_be(run: Callable[..., Run]) -> None:
    it = run(2)
    (it.paths.root / "rollouts").write_text("in the way", encoding="utf-8")

    with pytest.raises(OSError):
        it.drive()

    assert it.journal.state().rollouts == ()
    assert it.predicted() == []


def test_no_row_is_written_for_a_grade_whose_files_can_not_be(run: Callable[..., Run]) -> None:
    it = run(1)
    (it.paths.root / "logs").write_text("in the way", encoding="utf-8")

    with pytest.raises(OSError):
        it.drive()

    assert it.journal.state().grades == ()


def test_a_result_that_the_journal_refuses_is_not_predicted_twice(run: Callable[..., Run]) -> None:
    it = run(2)
    it.executor.script[it.ids[1]] = lambda request: solves(
        replace(
            request,
            assignment=replace(request.assignment, key=RolloutKey(it.config.run_id, it.ids[0], 7)),
        )
    )

    with pytest.raises(JournalError, match="UNIQUE"):
        it.drive()

    assert it.predicted() == [it.ids[0]]


def test_a_failure_is_redone_and_recorded_each_time(run: Callable[..., Run]) -> None:
    it = run(1)
    it.executor.script[it.ids[0], 1] = fails(FailureKind.WORKER_LOST)
    it.drive()

    rows = it.journal.state().rollouts
    assert [(row.key.attempt, row.failure and row.failure.kind) for row in rows] == [
        (1, "worker_lost"),
        (2, None),
    ]
    assert it.predicted() == it.ids


def test_a_failure_beyond_its_budget_is_left_and_the_rest_goes_on(run: Callable[..., Run]) -> None:
    it = run(3, {"rollout.retries": {"worker_lost": 1}})
    it.executor.script[it.ids[0]] = fails(FailureKind.WORKER_LOST)
    it.drive()
    state = it.journal.state()

    assert set(state.failures) == {it.ids[0]}
    assert state.attempts[it.ids[0]] == 2
    assert set(state.verdicts) == set(it.ids[1:])


def test_an_outcome_without_a_patch_is_not_graded(run: Callable[..., Run]) -> None:
    it = run(1)
    it.executor.script[it.ids[0]] = lambda request: ends(request, Outcome.GAVE_UP)
    it.drive()

    assert it.executor.grade_requests == []
    assert it.predicted() == it.ids


def test_the_answer_goes_to_gold_and_to_grades_and_to_nobody_else(run: Callable[..., Run]) -> None:
    it = run(2)
    it.drive()
    rollouts, grades = it.executor.rollout_requests, it.executor.grade_requests
    assert all(request.assignment.sealed_answer is None for request in rollouts)
    assert all(request.assignment.sealed_answer is not None for request in grades)


def test_gold_is_given_the_answer(run: Callable[..., Run]) -> None:
    it = run(1, agent="gold")
    it.drive()

    assert it.executor.rollout_requests[0].assignment.sealed_answer is it.dataset.answers[it.ids[0]]


def test_a_stop_lets_what_runs_finish(run: Callable[..., Run]) -> None:
    it = run(4, slots=2)

    def stop(event: Any) -> None:
        it.stop.count = 1

    it.drive(stop)

    assert len(it.executor.rollout_requests) == 2
    assert it.executor.stopped == 0
    assert set(it.journal.state().outcomes) == set(it.ids[:2])


def test_two_stops_end_what_runs_and_keep_what_it_had(run: Callable[..., Run]) -> None:
    it = run(4, slots=2)
    it.executor.holding = True
    started: list[Start] = []

    def stop(event: Any) -> None:
        if isinstance(event, Start):
            started.append(event)
        it.stop.count = len(started)

    it.drive(stop)
    state = it.journal.state()

    assert it.executor.stopped == 1
    assert [row.failure.kind for row in state.rollouts if row.failure] == ["interrupted"] * 2
    assert not state.outcomes
    partial = it.paths.rollout(RolloutKey(it.config.run_id, it.ids[0], 1)) / "partial.diff"
    assert partial.read_text(encoding="utf-8") == "half\n"
    assert it.predicted() == []


class DeafExecutor(FakeExecutor):
    """Its rollouts never end; each poll takes ten seconds of a clock of its own."""

    now = 0.0

    def poll(self, timeout_s: float) -> list[Event]:
        self.now += 10.0
        return []

    def stop_now(self) -> None:
        self.stopped += 1


def test_a_stop_that_is_not_obeyed_is_waited_for_a_minute_and_no_longer(
    run: Callable[..., Run],
) -> None:
    executor = DeafExecutor()
    it = run(2, executor=executor, clock=lambda: executor.now)

    it.drive(lambda event: setattr(it.stop, "count", 2))

    assert (executor.stopped, executor.now) == (1, 80.0)
    assert it.journal.state().rollouts == ()


@pytest.mark.slow
def test_what_was_stopped_is_what_the_next_session_does(run: Callable[..., Run]) -> None:
    it = run(3, slots=1)
    it.drive(lambda event: setattr(it.stop, "count", 1))
    it.stop.count = 0
    it.drive()

    assert set(it.journal.state().verdicts) == set(it.ids)
    assert len(it.executor.rollout_requests) == 3


def test_a_nearly_full_disk_starts_nothing_and_says_so(run: Callable[..., Run]) -> None:
    it = run(2, {"cluster.min_free_disk_gb": 1e9})

    with pytest.raises(JournalError, match="min_free_disk_gb"):
        it.drive()

    assert it.executor.rollout_requests == []


def test_rollouts_wait_for_a_server_that_is_away_and_go_on_when_it_is_back(
    run: Callable[..., Run],
) -> None:
    away, back = Availability(down=True, notes=("it hangs",)), Availability(down=False)
    turns: list[list[Message]] = [[away], [], [], [back]]
    it = run(2, gateway=SilentGateway(turns))
    left = []
    events = it.drive(lambda event: left.append(len(turns)))

    assert left[0] == 0, "nothing started before"
    (remark,) = [event for event in events if isinstance(event, Remark)]
    assert "briefly away once" in remark.text
    assert events[-1] is remark, "so short a one is told at the end"
    assert set(it.journal.state().verdicts) == set(it.ids)


def test_a_run_ends_and_can_be_resumed_where_the_server_stays_away(
    run: Callable[..., Run],
) -> None:
    away = Availability(down=True, notes=("it hangs",))
    it = run(2, gateway=SilentGateway([[away]]), max_outage_s=0)
    (told,) = it.drive()

    assert "can be resumed" in told.text
    assert it.journal.state().rollouts == ()
    it.gateway = SilentGateway()
    it.drive()
    assert set(it.journal.state().verdicts) == set(it.ids)


def test_a_gateway_that_was_started_again_takes_every_server_to_be_up(
    run: Callable[..., Run],
) -> None:
    ready, away = Listening(port=1), Availability(down=True, notes=("it hangs",))
    it = run(1, gateway=SilentGateway([[ready], [away], [ready]]))
    events = it.drive()

    remarks = [event.text for event in events if isinstance(event, Remark)]
    assert "started again" in remarks[0]
    assert set(it.journal.state().verdicts) == set(it.ids)


def test_the_gateway_forgets_a_rollout_whose_worker_is_lost(run: Callable[..., Run]) -> None:
    it = run(1, gateway=SilentGateway())
    it.executor.script[it.ids[0], 1] = fails(FailureKind.WORKER_LOST)
    it.drive()

    assert it.gateway is not None
    assert it.gateway.forgotten == [RolloutKey(it.config.run_id, it.ids[0], 1)]


def test_a_rollout_is_told_its_own_base_url(run: Callable[..., Run]) -> None:
    it = run(2, gateway=SilentGateway())
    it.drive()

    asked = {r.assignment.key.instance_id: r.base_url for r in it.executor.rollout_requests}
    assert asked == {key: f"http://gateway/{key}/1" for key in it.ids}


def test_requests_to_the_model_are_in_the_journal_and_swallowed_answers_are_reported_once(
    run: Callable[..., Run],
) -> None:
    gateway = SilentGateway()
    it = run(1, gateway=gateway)
    key = RolloutKey(it.config.run_id, it.ids[0], 1)
    request = ModelRequest(key, RequestResult.SWALLOWED, "http://h/v1", 200, 1.0, 2.0)
    gateway.turns += [[Requested(request=request)], [Requested(request=request)]]
    events = it.drive()

    remarks = [event.text for event in events if isinstance(event, Remark)]
    assert len(remarks) == 1
    assert "--reasoning-parser" in remarks[0]
    assert it.journal.state().requests == (request, request)


def test_samples_are_kept_as_the_trace_of_the_night(run: Callable[..., Run]) -> None:
    server = ServerMetrics(kv_usage=0.5, prefix_queries=100, prefix_hits=80, running=2)
    sample = LoadSample(
        at=1.0, seconds=10, answers=3, grown_tokens=900, prompt_tokens=5000, completion_tokens=300,
        latency_s=4.0, in_flight=2, waiting=0, down_s=0.0, server=server,
    )  # fmt: skip
    it = run(1, gateway=SilentGateway([[Sampled(sample=sample)]]))
    (status,) = [event for event in it.drive() if isinstance(event, ModelStatus)]

    assert "18 answers a minute" in status.text
    assert "80% of prompts cached" in status.text
    (row,) = it.journal.state().samples
    assert (row.answers, row.server, row.admitted) == (3, server, 2)


def test_the_display_shows_why_nothing_moves(run: Callable[..., Run]) -> None:
    it = run(1)
    driver = it.make_driver()
    assert driver.notice() == Notice()
    it.stop.count = 1
    assert "Ctrl-C" in driver.notice().text
    it.stop.count = 2
    assert "stopping now" in driver.notice().text


def test_a_pause_is_said_with_the_time_of_its_end(run: Callable[..., Run]) -> None:
    now = 0.0
    it = run(3, slots=3, clock=lambda: now)
    driver = it.make_driver()
    scheduler = driver._scheduler
    scheduler.add(Stage.ROLLOUT, [RolloutKey("a-run", name, 1) for name in it.ids])
    for start in scheduler.admit(0.0):
        scheduler.rollout_done(start.key, FailureKind.SANDBOX_UNAVAILABLE, False, 0.0)

    first = driver.notice()
    now = 20.3
    assert driver.notice() == first
    end = time.strptime(re.findall(r"until (\d\d:\d\d:\d\d) at", first.text)[0], "%H:%M:%S")
    soon = time.localtime(time.time() + 30)
    assert abs((end.tm_min * 60 + end.tm_sec) - (soon.tm_min * 60 + soon.tm_sec)) % 3600 < 3


def test_a_disk_at_its_limit_is_not_full_and_free_in_turns(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, disk = 0.0, SimpleNamespace(free=0.0)
    monkeypatch.setattr("orchestrator.driver.loop.shutil.disk_usage", lambda path: disk)
    it = run(1, {"cluster.min_free_disk_gb": 10}, clock=lambda: now)
    driver = it.make_driver()
    scheduler = driver._scheduler
    scheduler.add(Stage.GRADE, [RolloutKey("a-run", it.ids[0], 1)])
    noticed = []
    for free_gb in (10.5, 9.9, 10.1, 9.9, 10.9, 11.1, 10.5, 9.9):
        now, disk.free = now + 60, free_gb * 1e9
        driver._watch_disk()
        noticed.append(driver.notice().about)

    assert [bool(about) for about in noticed] == [False, *[True] * 4, False, False, True]
    assert len(set(noticed[1:5])) == 1
    assert noticed[-1] != noticed[1], "a new one"

    scheduler.grade_done(scheduler.admit(now)[0].key, None, now)
    now, disk.free = now + 60, 10.1e9
    driver._watch_disk()
    assert driver.notice() == Notice(), "where nothing runs that could free more, it is enough"


def broken(request: Any) -> RolloutResult:
    failure = Failure(FailureKind.SANDBOX_BROKEN, "no process is left")
    return RolloutResult(RolloutRecord(request.key, failure=failure), partial_patch="a diff\n")


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_the_third_sandbox_that_an_instance_breaks_is_an_outcome_over_all_sessions(
    run: Callable[..., Run], retries: int
) -> None:
    it = run(2, {"rollout.retries": {"sandbox_broken": retries}})
    it.executor.script[it.ids[0]] = broken
    sessions = 0
    while not make_plan(it.dataset.instances, it.journal.state()).is_empty:
        sessions += 1
        it.drive()

    state = it.journal.state()
    assert sessions == {0: 3, 1: 2}.get(retries, 1)
    assert [row.failure is None for row in state.rollouts if row.instance_id == it.ids[0]] == [
        False,
        False,
        True,
    ]
    assert state.outcomes[it.ids[0]].outcome is Outcome.GAVE_UP
    assert state.outcomes[it.ids[0]].salvaged
    assert state.verdicts[it.ids[0]].resolved
    assert sorted(it.predicted()) == sorted(it.ids)
    assert read_patch(it.paths, state.outcomes[it.ids[0]].key) == "a diff\n"


def test_the_display_is_shown_what_was_recorded(run: Callable[..., Run]) -> None:
    it = run(1)
    it.executor.script[it.ids[0]] = broken

    ends = [event for event in it.drive() if isinstance(event, RolloutResult)]

    assert [event.outcome for event in ends] == [None, None, Outcome.GAVE_UP]


@pytest.mark.slow
def test_a_run_ends_where_our_own_code_fails_at_every_instance(run: Callable[..., Run]) -> None:
    it = run(12, slots=3)
    for instance_id in it.ids:
        it.executor.script[instance_id] = fails(FailureKind.INTERNAL_ERROR)
    (told,) = [event.text for event in it.drive() if isinstance(event, Remark)]

    assert "can be resumed" in told
    assert len(it.executor.rollout_requests) == 3
    it.executor.script.clear()
    it.drive()
    assert set(it.journal.state().verdicts) == set(it.ids)


@pytest.mark.slow
def test_a_bug_at_some_instances_ends_nothing(run: Callable[..., Run]) -> None:
    it = run(6, slots=2)
    for instance_id in it.ids[::2]:
        it.executor.script[instance_id] = fails(FailureKind.INTERNAL_ERROR)
    events = it.drive()

    assert not [event for event in events if isinstance(event, Remark)]
    assert set(it.journal.state().verdicts) == set(it.ids[1::2])
