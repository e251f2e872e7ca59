"""The loop between scheduler, executor and journal, with an executor that runs nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from orchestrator.driver.evictions import AT_ONCE
from support.fake_executor import FakeExecutor, ends, fails, solves
from support.specs import PROCESSES

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.driver.executor import Event, ModelStatus, Notice, Remark
from orchestrator.driver.files import read_patch
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.loop import Driver, RequestBuilder
from orchestrator.driver.plan import make_plan
from orchestrator.driver.scheduler import Scheduler, Stage, Start
from orchestrator.driver.stop import StopSignal
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.errors import JournalError
from orchestrator.gateway.messages import Availability, Listening, Message, Requested, Sampled
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeRecord,
    GradeResult,
    ModelRequest,
    Outcome,
    PulledImage,
    RequestResult,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)


@dataclass
class SilentGateway:
    """Implements `GatewayHandle`: says what it is given, a turn at a time."""

    turns: list[list[Message]] = field(default_factory=list)
    forgotten: list[RolloutKey] = field(default_factory=list)

    def base_url(self, key: RolloutKey) -> str:
        return f"http://gateway/{key.instance_id}/{key.attempt}"

    def forget(self, key: RolloutKey) -> None:
        self.forgotten.append(key)

    def poll(self) -> list[Message]:
        return self.turns.pop(0) if self.turns else []


@dataclass
class Run:
    """A run of the demo's first instances on a fake executor."""

    config: RunConfig
    dataset: Dataset
    journal: Journal
    slots: int = 2
    gateway: SilentGateway | None = None
    max_outage_s: float = 60
    executor: FakeExecutor = field(default_factory=FakeExecutor)
    stop: StopSignal = field(default_factory=StopSignal)
    clock: Callable[[], float] = time.monotonic

    @property
    def paths(self) -> RunPaths:
        return RunPaths(Path(self.config.runs_dir) / self.config.run_id)

    @property
    def ids(self) -> list[str]:
        return [instance.instance_id for instance in self.dataset.instances]

    def make_driver(self) -> Driver:
        instances = {i.instance_id: i for i in self.dataset.instances}
        requests = RequestBuilder(
            self.config,
            self.paths,
            instances,
            self.dataset.answers,
            PROCESSES,
            self.gateway,
            agent=load_agent_kind(self.config.agent, {}),
        )
        scheduler = Scheduler(self.slots, 1, self.config.rollout.retries, retry_delay_s=0)
        listener = None
        if self.gateway is not None:
            listener = GatewayListener(
                self.gateway, self.journal, scheduler, None, self.max_outage_s
            )
        return Driver(
            requests, self.executor, scheduler, self.journal, self.stop, listener, clock=self.clock
        )

    def drive(self, on_event: Callable[[Any], None] = lambda event: None) -> list[Any]:
        driver, events = self.make_driver(), []
        for event in driver.events(make_plan(self.dataset.instances, self.journal.state())):
            if event is not None:
                events.append(event)
                on_event(event)
        return events

    def predicted(self) -> list[str]:
        if not self.paths.predictions.is_file():
            return []
        lines = self.paths.predictions.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["instance_id"] for line in lines]


@pytest.fixture
def run(make_config: Callable[..., RunConfig], demo: Dataset) -> Iterator[Callable[..., Run]]:
    opened: list[Journal] = []

    def make(count: int = 4, settings: dict[str, Any] | None = None, **more: Any) -> Run:
        config = make_config(more.pop("agent", "mini"), settings)
        few = Dataset(demo.instances[:count], demo.answers, demo.sha256)
        paths = RunPaths(Path(config.runs_dir) / config.run_id)
        paths.root.mkdir(parents=True)
        opened.append(Journal.create(paths.journal, config.run_id, few.instances))
        return Run(config, few, opened[-1], **more)

    yield make
    for journal in opened:
        journal.close()


def test_every_instance_is_rolled_out_graded_and_predicted(run: Callable[..., Run]) -> None:
    it = run(4)
    it.drive()
    state = it.journal.state()

    assert set(state.verdicts) == set(it.ids)
    assert sorted(it.predicted()) == sorted(it.ids)
    assert make_plan(it.dataset.instances, state).is_empty


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


EVICTS = {"cluster.images.keep": False}


def evicted(it: Run) -> list[str]:
    return [request.image.name for request in it.executor.evictions]


def image_of(it: Run, number: int) -> str:
    return it.dataset.instances[number].image


def test_only_an_image_that_this_run_pulled_is_evicted(run: Callable[..., Run]) -> None:
    it = run(3, EVICTS)
    it.executor.pulls = {it.ids[1]: PulledImage(image_of(it, 1))}
    it.drive()

    assert evicted(it) == [image_of(it, 1)]
    assert it.journal.pulled() == ()


def test_an_image_that_a_grade_pulled_is_evicted_after_it(run: Callable[..., Run]) -> None:
    """As with `grade --predictions`, where there are no rollouts."""
    it = run(2, EVICTS)
    it.executor.pulls = {f"{it.ids[0]} grade": PulledImage(image_of(it, 0))}
    it.drive()

    assert evicted(it) == [image_of(it, 0)]


@pytest.mark.parametrize(
    ("ends_as", "grade_kind", "is_evicted"),
    [
        (Outcome.GAVE_UP, None, True),
        (FailureKind.AGENT_CRASHED, None, False),
        (Outcome.SUBMITTED, FailureKind.HARNESS_UNAVAILABLE, False),
    ],
)
def test_an_image_goes_once_its_instance_is_done_and_not_before(
    run: Callable[..., Run],
    ends_as: Outcome | FailureKind,
    grade_kind: FailureKind | None,
    is_evicted: bool,
) -> None:
    it = run(1, EVICTS)
    it.executor.pulls = {it.ids[0]: PulledImage(image_of(it, 0))}
    if isinstance(ends_as, FailureKind):
        it.executor.script[it.ids[0]] = fails(ends_as)
    elif ends_as is Outcome.GAVE_UP:
        it.executor.script[it.ids[0]] = lambda request: ends(request, Outcome.GAVE_UP)
    if grade_kind is not None:
        failure = Failure(grade_kind, "gone")
        it.executor.grades[it.ids[0]] = lambda request: GradeResult(
            GradeRecord(request.key, patch_sha256(request.patch), failure=failure)
        )
    it.drive()

    assert evicted(it) == ([image_of(it, 0)] if is_evicted else [])
    assert bool(it.journal.pulled()) is not is_evicted


def test_an_image_of_two_instances_goes_with_the_second_one(run: Callable[..., Run]) -> None:
    it = run(2, EVICTS)
    shared = [replace(instance, image="shared") for instance in it.dataset.instances]
    it.dataset = replace(it.dataset, instances=tuple(shared))
    it.executor.pulls = {name: PulledImage("shared") for name in it.ids}
    seen: list[int] = []
    it.drive(lambda event: seen.append(len(it.journal.state().verdicts) * len(evicted(it))))

    assert evicted(it) == ["shared"]
    assert 1 not in seen, "not while the other one had no verdict"


def test_an_image_in_use_stays_known_and_is_tried_again(run: Callable[..., Run]) -> None:
    it = run(3, EVICTS, slots=1)
    it.executor.pulls = {it.ids[0]: PulledImage(image_of(it, 0))}
    it.executor.in_use = {image_of(it, 0)}
    it.drive()

    assert len(evicted(it)) > 1
    assert it.journal.pulled() == (PulledImage(image_of(it, 0)),)


def test_what_an_earlier_session_pulled_is_evicted_when_the_run_goes_on(
    run: Callable[..., Run],
) -> None:
    it = run(2, EVICTS)
    it.executor.script[it.ids[1]] = fails(FailureKind.AGENT_CRASHED)
    it.executor.pulls = {it.ids[0]: PulledImage(image_of(it, 0), "a-node")}
    it.executor.in_use = {image_of(it, 0)}
    it.drive()
    it.executor = FakeExecutor()  # another session
    it.drive()

    assert evicted(it) == [image_of(it, 0)]
    assert it.executor.evictions[0].image.node == "a-node"
    assert it.journal.pulled() == ()


def test_hundreds_of_images_that_an_earlier_session_kept_go_a_few_at_a_time(
    run: Callable[..., Run],
) -> None:
    """Each takes a process on its node. One that is in use is not tried again and again."""
    it = run(1, EVICTS)
    images = [PulledImage(f"image-{number:03}", "a-node") for number in range(200)]
    for image in images:
        it.journal.add_pulled(image)
    it.executor.in_use = {images[7].name}
    it.drive()

    assert it.executor.most_evictions == AT_ONCE
    assert it.journal.pulled() == (images[7],)
    assert evicted(it).count(images[7].name) <= 3, "with the start, and with each instance's end"
    assert len(evicted(it)) <= 202


def test_a_second_stop_leaves_the_rest_of_the_images_to_the_next_session(
    run: Callable[..., Run],
) -> None:
    it = run(1, EVICTS)
    for number in range(200):
        it.journal.add_pulled(PulledImage(f"image-{number:03}"))

    def stop(event: Any) -> None:
        it.stop.count = 2

    it.drive(stop)

    assert len(evicted(it)) < 20
    assert len(it.journal.pulled()) > 180
    it.stop.count, it.executor = 0, FakeExecutor()
    it.drive()
    assert it.journal.pulled() == ()


def test_kept_images_are_known_all_the_same_and_evicted_by_a_later_session_that_keeps_none(
    run: Callable[..., Run],
) -> None:
    it = run(2)
    it.executor.script[it.ids[1]] = fails(FailureKind.AGENT_CRASHED)
    it.executor.pulls = {it.ids[0]: PulledImage(image_of(it, 0))}
    it.drive()
    assert evicted(it) == []
    assert it.journal.pulled() == (PulledImage(image_of(it, 0)),)

    images = it.config.cluster.images.model_copy(update={"keep": False})
    cluster = it.config.cluster.model_copy(update={"images": images})
    it.config = it.config.model_copy(update={"cluster": cluster})
    it.drive()

    assert evicted(it) == [image_of(it, 0)]


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
    scheduler.add(Stage.ROLLOUT, [RolloutKey("r", name, 1) for name in it.ids])
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
    scheduler.add(Stage.GRADE, [RolloutKey("r", it.ids[0], 1)])
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


def test_a_bug_at_some_instances_ends_nothing(run: Callable[..., Run]) -> None:
    it = run(6, slots=2)
    for instance_id in it.ids[::2]:
        it.executor.script[instance_id] = fails(FailureKind.INTERNAL_ERROR)
    events = it.drive()

    assert not [event for event in events if isinstance(event, Remark)]
    assert set(it.journal.state().verdicts) == set(it.ids[1::2])
