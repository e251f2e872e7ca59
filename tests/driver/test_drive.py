"""The loop between scheduler, engine and journal, with an engine that runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, fails, solves

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.driver.drive import Driver, Work
from orchestrator.driver.scheduler import Scheduler, Start
from orchestrator.driver.stop import StopSignal
from orchestrator.errors import JournalError
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.plan import make_plan
from orchestrator.rollout import RolloutRequest
from orchestrator.testing.endpoint import ScriptedEndpoint
from orchestrator.types import FailureKind, GradeResult, Outcome, RolloutResult


@dataclass
class Run:
    """A run of the demo's first instances on a fake engine."""

    config: RunConfig
    dataset: Dataset
    journal: Journal
    slots: int = 2
    base_url: str = ""
    engine: FakeEngine = field(default_factory=FakeEngine)
    stop: StopSignal = field(default_factory=StopSignal)

    @property
    def paths(self) -> RunPaths:
        return RunPaths(Path(self.config.runs_dir) / self.config.run_id)

    @property
    def ids(self) -> list[str]:
        return [instance.instance_id for instance in self.dataset.instances]

    def make_driver(self) -> Driver:
        instances = {i.instance_id: i for i in self.dataset.instances}
        work = Work(
            self.config, self.paths, instances, self.dataset.answers, "process", self.base_url
        )
        scheduler = Scheduler(self.slots, 1, self.config.rollout.retries, retry_delay_s=0)
        return Driver(work, self.engine, scheduler, self.journal, self.stop)

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
            folder = it.paths.rollout(event.instance_id, event.attempt)
            assert (folder / "result.json").is_file()
            assert event.instance_id in it.journal.state().outcomes
            assert event.instance_id in it.predicted()
        elif isinstance(event, GradeResult):
            assert (it.paths.harness_log("scripted__mini", event.instance_id)).is_dir()
            assert event.instance_id in it.journal.state().verdicts

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
    it.engine.script[it.ids[1]] = lambda request: solves(
        RolloutRequest(request.config, it.dataset.instances[0], 7, "process", request.run_dir)
    )

    with pytest.raises(JournalError, match="UNIQUE"):
        it.drive()

    assert it.predicted() == [it.ids[0]]


def test_a_failure_is_redone_and_recorded_each_time(run: Callable[..., Run]) -> None:
    it = run(1)
    it.engine.script[it.ids[0], 1] = fails(FailureKind.WORKER_LOST)
    it.drive()

    rows = it.journal.state().rollouts
    assert [(row.attempt, row.failure) for row in rows] == [(1, "worker_lost"), (2, None)]
    assert it.predicted() == it.ids


def test_a_failure_beyond_its_budget_is_left_and_the_rest_goes_on(run: Callable[..., Run]) -> None:
    it = run(3, {"rollout.retries": {"worker_lost": 1}})
    it.engine.script[it.ids[0]] = fails(FailureKind.WORKER_LOST)
    it.drive()
    state = it.journal.state()

    assert set(state.failures) == {it.ids[0]}
    assert state.attempts[it.ids[0]] == 2
    assert set(state.verdicts) == set(it.ids[1:])


def test_an_outcome_without_a_patch_is_not_graded(run: Callable[..., Run]) -> None:
    it = run(1)
    it.engine.script[it.ids[0]] = lambda r: RolloutResult(
        r.instance.instance_id, r.attempt, outcome=Outcome.GAVE_UP
    )
    it.drive()

    assert it.engine.grade_requests == []
    assert it.predicted() == it.ids


def test_the_answer_goes_to_gold_and_to_grades_and_to_nobody_else(run: Callable[..., Run]) -> None:
    it = run(2)
    it.drive()
    assert all(request.sealed_answer is None for request in it.engine.rollout_requests)
    assert all(request.sealed_answer is not None for request in it.engine.grade_requests)


def test_gold_is_given_the_answer(run: Callable[..., Run]) -> None:
    it = run(1, agent="gold")
    it.drive()

    assert it.engine.rollout_requests[0].sealed_answer is it.dataset.answers[it.ids[0]]


def test_a_stop_lets_what_runs_finish(run: Callable[..., Run]) -> None:
    it = run(4, slots=2)

    def stop(event: Any) -> None:
        it.stop.count = 1

    it.drive(stop)

    assert len(it.engine.rollout_requests) == 2
    assert it.engine.stopped == 0
    assert set(it.journal.state().outcomes) == set(it.ids[:2])


def test_two_stops_end_what_runs_and_keep_what_it_had(run: Callable[..., Run]) -> None:
    it = run(4, slots=2)
    it.engine.holding = True
    started: list[Start] = []

    def stop(event: Any) -> None:
        if isinstance(event, Start):
            started.append(event)
        it.stop.count = len(started)

    it.drive(stop)
    state = it.journal.state()

    assert it.engine.stopped == 1
    assert [row.failure for row in state.rollouts] == ["interrupted"] * 2
    assert not state.outcomes
    partial = it.paths.rollout(it.ids[0], 1) / "partial.diff"
    assert partial.read_text(encoding="utf-8") == "half\n"
    assert it.predicted() == []


def test_what_was_stopped_is_what_the_next_session_does(run: Callable[..., Run]) -> None:
    it = run(3, slots=1)
    it.drive(lambda event: setattr(it.stop, "count", 1))
    it.stop.count = 0
    it.drive()

    assert set(it.journal.state().verdicts) == set(it.ids)
    assert len(it.engine.rollout_requests) == 3


def test_a_nearly_full_disk_starts_nothing_and_says_so(run: Callable[..., Run]) -> None:
    it = run(2, {"cluster.min_free_disk_gb": 1e9})

    with pytest.raises(JournalError, match="min_free_disk_gb"):
        it.drive()

    assert it.engine.rollout_requests == []


def test_rollouts_wait_for_a_server_that_is_away_and_go_on_when_it_is_back(
    run: Callable[..., Run],
) -> None:
    it = run(2, slots=1)
    it.engine.script[it.ids[0], 1] = fails(FailureKind.ENDPOINT_UNAVAILABLE)
    with ScriptedEndpoint(it.dataset.instances, it.dataset.answers) as endpoint:
        it.base_url = endpoint.base_url
        it.drive()

        assert endpoint.requests == 1
    assert set(it.journal.state().verdicts) == set(it.ids)


def test_only_an_image_that_this_run_pulled_is_evicted(run: Callable[..., Run]) -> None:
    it = run(2, {"cluster.images.keep": False})
    it.engine.script[it.ids[1]] = lambda r: RolloutResult(
        r.instance.instance_id, 1, outcome=Outcome.SUBMITTED, patch="p", image_pulled=True
    )
    it.drive()

    evicted = {r.instance.instance_id: r.evict_image for r in it.engine.grade_requests}
    assert evicted == {it.ids[0]: False, it.ids[1]: True}


def test_the_display_is_told_why_nothing_moves(run: Callable[..., Run]) -> None:
    it = run(1)
    driver = it.make_driver()
    assert driver.notice() == ""
    it.stop.count = 1
    assert "Ctrl-C" in driver.notice()
    it.stop.count = 2
    assert "stopping now" in driver.notice()
