"""Several runs in one session: each has what is its own, and holds up none of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.driven_runs import Run, RunsTogether
from support.fake_executor import FakeExecutor, fails
from support.fake_images import IMAGE_GB, FakeImages

from orchestrator.driver.executor import Remark
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import Start
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.types import FailureKind, PulledImage, RolloutKey, RolloutResult

pytestmark = pytest.mark.slow

SETTINGS = {"cluster.min_free_disk_gb": 0}
GRADED = {"cluster.images.keep": False, "cluster.images.reserve_gb": 0}


class TickingExecutor(FakeExecutor):
    """A second passes with each poll; nothing is really waited for, and an hour is too long."""

    now = 0.0

    def poll(self, timeout_s: float) -> list[Any]:
        self.now += 1.0
        assert self.now < 3600, "nothing goes on"
        return super().poll(0.0)


@pytest.fixture
def together(run: Callable[..., Run]) -> Callable[..., RunsTogether]:
    """Runs a, b, … over the demo's first instances; each asks a server of its own.

    With `disk_gb` each instance has an image of 1 GB, on a disk of that size.
    """

    def make(
        count: int = 3, runs: int = 2, disk_gb: float = 0, slots: int = 2, **settings: Any
    ) -> RunsTogether:
        executor = TickingExecutor(images={"": FakeImages(disk_gb=disk_gb)})
        made = []
        for run_id in "abcdef"[:runs]:
            it = run(count, SETTINGS | settings, run_id=run_id, slots=slots, executor=executor)
            it.clock = lambda: executor.now
            instances = [replace(one, task_dir=None) for one in it.dataset.instances]
            it.dataset = replace(it.dataset, instances=tuple(instances))
            if disk_gb:
                compressed = round(IMAGE_GB * 1e9 / 2.8)
                sizes = (ImageSize((Layer(one.image, compressed),)) for one in instances)
                it.sizes = dict(zip((one.image for one in instances), sizes, strict=True))
            made.append(it)
        return RunsTogether(made, {it.config.run_id: Lane(it.config.run_id) for it in made})

    return make


def started(events: list[Any], stage: str = "rollout") -> list[tuple[str, str]]:
    """Instance and run of what has started, in that order."""
    starts = [e for e in events if isinstance(e, Start) and e.stage == stage]
    return [(start.key.instance_id, start.key.run_id) for start in starts]


def assert_each_has_its_own(it: RunsTogether) -> None:
    for run in it.runs:
        state, run_id = run.journal.state(), run.config.run_id
        assert sorted(run.predicted()) == sorted(run.ids)
        assert sorted(state.verdicts) == sorted(run.ids)
        assert {row.key.run_id for row in (*state.rollouts, *state.grades)} == {run_id}
        assert [row.key.attempt for row in state.rollouts] == [1] * len(run.ids)
        assert all(run.paths.patch(row.key).is_file() for row in state.rollouts)


def test_instance_by_instance_all_runs_side_by_side(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(3, runs=3)

    events = it.drive()

    assert started(events) == [(name, run) for name in it.first.ids for run in "abc"]
    assert_each_has_its_own(it)


@pytest.mark.parametrize("keep", [False, "auto"])
def test_images_come_once_for_all_runs_though_the_disk_holds_a_third(
    together: Callable[..., RunsTogether], keep: object
) -> None:
    it = together(6, runs=3, disk_gb=2.5, **GRADED | {"cluster.images.keep": keep})

    it.drive()

    images = it.first.executor.images[""]
    assert sorted(images.pulls) == sorted(i.image for i in it.first.dataset.instances)
    assert images.most_gb <= 2
    assert_each_has_its_own(it)


def test_a_model_that_is_away_holds_up_no_other_though_the_disk_holds_a_third(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(6, disk_gb=2.5, **GRADED)
    lane, (a, b) = it.lanes["b"], it.runs
    lane.away = "it hangs"
    done_meanwhile = []

    def watch(event: Any) -> None:
        if lane.away and len(a.journal.state().verdicts) == 6:
            done_meanwhile.append(len(b.journal.state().rollouts))
            lane.away = ""

    it.drive(watch)

    assert done_meanwhile == [0], "all of a was graded while b waited"
    assert_each_has_its_own(it)


def test_a_model_that_is_away_for_too_long_ends_its_runs_and_no_others(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(4, disk_gb=2.5, **GRADED)
    driver = it.make_driver()
    scheduler = driver._scheduler
    events = driver.events(it.plan)
    it.lanes["b"].away = "it hangs"
    for event in events:
        if isinstance(event, RolloutResult):
            scheduler.give_up(it.lanes["b"])
            break
    for _ in events:
        pass

    a, b = (run.journal.state() for run in it.runs)
    assert len(a.verdicts) == 4
    assert (b.rollouts, len(b.unfinished)) == ((), 4), "it can be resumed"
    assert it.first.executor.images[""].present == set(), "none waits for it any more"


def test_retries_of_one_run_cost_the_other_none(together: Callable[..., RunsTogether]) -> None:
    it = together(1)
    it.first.executor.script = {it.first.ids[0]: fails(FailureKind.WORKER_LOST)}

    it.drive()

    for run in it.runs:
        attempts = [row.key.attempt for row in run.journal.state().rollouts]
        assert attempts == [1, 2, 3], "two retries each"


def test_a_bug_in_one_run_ends_the_session_however_well_the_others_go(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(12)
    executor = it.first.executor
    solves = executor._roll_out
    bug = fails(FailureKind.INTERNAL_ERROR)
    executor._roll_out = lambda r: bug(r) if r.key.run_id == "b" else solves(r)  # type: ignore[method-assign]

    events = it.drive()

    (said,) = [event.text for event in events if isinstance(event, Remark)]
    assert "internal_error" in said
    assert len(it.runs[1].journal.state().failures) < 12, "not all are burnt"


def test_a_lost_worker_is_cleaned_up_after_in_its_own_run(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(1)
    it.first.executor.script = {(it.first.ids[0], 1): fails(FailureKind.WORKER_LOST)}

    it.drive()

    for run in it.runs:
        assert run.cleaned == [RolloutKey(run.config.run_id, it.first.ids[0], 1)]


def test_a_model_that_is_away_is_named_and_the_others_go_on(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(2)
    driver = it.make_driver()
    it.lanes["b"].away = "http://b/v1: it hangs"

    assert driver.notice().text == (
        "away is b (http://b/v1: it hangs): their rollouts wait, and others go on"
    )
    it.lanes["a"].away = "http://a/v1: refused"
    assert "a (http://a/v1: refused); b (http://b/v1: it hangs)" in driver.notice().text


def test_a_stop_and_what_is_left_goes_on_together(together: Callable[..., RunsTogether]) -> None:
    it = together(4, disk_gb=2.5, **GRADED)

    def stop(event: Any) -> None:
        if isinstance(event, RolloutResult):
            it.first.stop.count = 1

    it.drive(stop)
    left = [run.plan for run in it.runs]
    assert all(plan.rollouts or plan.grades for plan in left)
    it.first.stop.count = 0

    it.drive()

    assert_each_has_its_own(it)


def test_images_that_earlier_sessions_pulled_are_known_whichever_run_did(
    together: Callable[..., RunsTogether],
) -> None:
    it = together(2, disk_gb=9, **GRADED)
    image = it.first.image(0)
    it.runs[1].journal.add_pulled(PulledImage(image))
    it.first.executor.images[""].present.add(image)

    it.drive()

    assert it.first.executor.images[""].evictions.count(image) == 1
    assert [run.journal.pulled() for run in it.runs] == [(), ()]
