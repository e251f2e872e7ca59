"""A run brings its images, uses them where they are, waits where it has to, and tidies up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.driven_runs import Run
from support.fake_executor import FakeExecutor, ends, fails
from support.fake_images import IMAGE_GB, FakeImages

from orchestrator.driver.executor import ImageStatus, Notice
from orchestrator.driver.images import PATIENCE_S
from orchestrator.driver.scheduler import Start
from orchestrator.errors import PrerequisiteError
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import PullFailure, PullProblem, Quota
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeRecord,
    GradeResult,
    Outcome,
    PulledImage,
    RolloutKey,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.messages import PullRequest

pytestmark = pytest.mark.slow

EVICTS = {"cluster.images.keep": False, "cluster.min_free_disk_gb": 0}
KEEPS = {"cluster.images.keep": True, "cluster.min_free_disk_gb": 0}
AUTO = {"cluster.min_free_disk_gb": 0}
TICK_S = 1.0


class TickingExecutor(FakeExecutor):
    """A second passes with each poll; nothing is really waited for."""

    now = 0.0

    def poll(self, timeout_s: float) -> list[Any]:
        self.now += TICK_S
        return super().poll(0.0)


@pytest.fixture
def imaged(run: Callable[..., Run]) -> Callable[..., Run]:
    """A run each of whose instances has an image of 1 GB on disk, none of them there."""

    def make(count: int = 4, settings: dict[str, Any] | None = None, **more: Any) -> Run:
        nodes = {name: FakeImages() for name in more.pop("nodes", ("",))}
        it = run(count, EVICTS if settings is None else settings, **more)
        it.executor = TickingExecutor(images=nodes)
        it.clock = lambda: it.executor.now  # type: ignore[attr-defined]
        instances = [replace(one, task_dir=None) for one in it.dataset.instances]
        it.dataset = replace(it.dataset, instances=tuple(instances))
        compressed = round(IMAGE_GB * 1e9 / 2.8)
        it.sizes = {one.image: ImageSize((Layer(one.image, compressed),)) for one in instances}
        return it

    return make


def here(it: Run, node: str = "") -> FakeImages:
    return it.executor.images[node]


def another_session(it: Run, *nodes: str) -> None:
    """With the same images there, unless another node is named."""
    images = {name: FakeImages() for name in nodes} or it.executor.images
    it.executor = TickingExecutor(images=images)
    it.stop.count = 0


def notices(it: Run, on_event: Callable[[Any], None] = lambda event: None) -> list[Notice]:
    """What the display says from first to last, each once."""
    driver, said = it.make_driver(), []
    for event in driver.events(it.plan):
        on_event(event)
        notice = driver.notice()
        if notice.text and notice.about not in [n.about for n in said]:
            said.append(notice)
    return said


def graded_once(it: Run) -> bool:
    state = it.journal.state()
    graded = [row.instance_id for row in state.grades]
    is_clean = not any(row.failure for row in (*state.rollouts, *state.grades))
    return is_clean and sorted(graded) == sorted(it.ids)


def failure(problem: PullProblem, retry_after_s: float | None = None) -> PullFailure:
    return PullFailure(problem, "so says the test", retry_after_s)


def test_each_image_comes_before_its_rollout_and_goes_after_its_grade(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(6)
    came_late: list[str] = []

    def look(event: Any) -> None:
        if isinstance(event, Start) and it.images_of(event.key) not in here(it).present:
            came_late.append(event.key.instance_id)

    it.drive(look)

    assert graded_once(it)
    assert came_late == []
    assert here(it).present == set()
    assert sorted(here(it).pulls) == sorted(it.sizes or ())
    assert it.journal.pulled() == ()
    every = (*it.executor.rollout_requests, *it.executor.grade_requests)
    assert all(request.assignment.image_is_here for request in every)


def test_the_journal_knows_of_a_pull_before_it_begins(imaged: Callable[..., Run]) -> None:
    it = imaged(3)

    def look(request: PullRequest) -> None:
        assert request.image in it.journal.pulled()

    here(it).on_pull = look
    it.drive()
    assert len(here(it).pulls) == 3


def test_a_small_disk_holds_a_few_images_at_a_time_and_nothing_fails(
    imaged: Callable[..., Run],
) -> None:
    """Room for three, beside the reserve."""
    it = imaged(12, {**AUTO, "cluster.images.reserve_gb": 5})
    here(it).disk_gb = 8.5

    it.drive()

    assert graded_once(it)
    assert here(it).most_gb <= 3
    assert len(here(it).pulls) == 12


def test_where_there_is_room_images_stay_and_the_next_session_pulls_nothing(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(4, AUTO)
    it.executor.script[it.ids[3]] = fails(FailureKind.AGENT_CRASHED)
    it.drive()
    assert here(it).evictions == []
    another_session(it)
    it.drive()

    assert len(here(it).pulls) == 4
    assert len(it.journal.pulled()) == 4


def test_only_an_image_that_this_run_pulled_is_evicted(imaged: Callable[..., Run]) -> None:
    it = imaged(3)
    here(it).present = {it.image(0)}
    it.drive()

    assert sorted(here(it).evictions) == sorted([it.image(1), it.image(2)])
    assert here(it).present == {it.image(0)}


def test_an_image_that_a_person_brings_meanwhile_is_the_persons(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(3)
    here(it).on_pull = lambda request: here(it).present.add(it.image(1))
    it.drive()

    assert graded_once(it)
    assert it.image(1) in here(it).present
    assert it.journal.pulled() == ()


@pytest.mark.parametrize(("settings", "stay"), [(KEEPS, 3), (EVICTS, 0)])
def test_patches_that_were_made_elsewhere_have_their_images_brought_for_their_grades(
    imaged: Callable[..., Run], settings: dict[str, Any], stay: int
) -> None:
    it = imaged(3, settings)
    it.executor.grades = {name: graded_as(FailureKind.HARNESS_UNAVAILABLE) for name in it.ids}
    it.drive()
    it.executor.images[""] = FakeImages()
    another_session(it)
    it.drive()

    assert it.executor.rollout_requests == []
    assert set(it.journal.state().verdicts) == set(it.ids)
    assert len(here(it).pulls) == 3
    assert len(here(it).present) == len(it.journal.pulled()) == stay


def graded_as(kind: FailureKind) -> Callable[[Any], GradeResult]:
    return lambda request: GradeResult(
        GradeRecord(request.key, patch_sha256(request.patch), failure=Failure(kind, "gone"))
    )


@pytest.mark.parametrize(
    ("ends_as", "grade_kind"),
    [
        (Outcome.GAVE_UP, None),
        (FailureKind.AGENT_CRASHED, None),
        (FailureKind.SANDBOX_BROKEN, None),
        (Outcome.SUBMITTED, FailureKind.HARNESS_UNAVAILABLE),
        (Outcome.SUBMITTED, None),
    ],
)
def test_an_image_goes_once_nothing_of_its_instance_is_left_to_do_in_this_session(
    imaged: Callable[..., Run], ends_as: Outcome | FailureKind, grade_kind: FailureKind | None
) -> None:
    it = imaged(1)
    if isinstance(ends_as, FailureKind):
        it.executor.script[it.ids[0]] = fails(ends_as)
    elif ends_as is Outcome.GAVE_UP:
        it.executor.script[it.ids[0]] = lambda request: ends(request, Outcome.GAVE_UP)
    if grade_kind is not None:
        it.executor.grades[it.ids[0]] = graded_as(grade_kind)
    went_early: list[Any] = []

    def look(event: Any) -> None:
        if isinstance(event, Start) and here(it).evictions:
            went_early.append(event)

    it.drive(look)

    assert here(it).evictions == [it.image(0)]
    assert went_early == []


def test_an_image_of_two_instances_goes_with_the_second_one(imaged: Callable[..., Run]) -> None:
    it = imaged(2)
    shared = [replace(instance, image="shared") for instance in it.dataset.instances]
    it.dataset = replace(it.dataset, instances=tuple(shared))
    it.sizes = {"shared": ImageSize((Layer("one", 10**9),))}
    seen: list[int] = []
    it.drive(lambda _: seen.append(len(it.journal.state().verdicts) * len(here(it).evictions)))

    assert here(it).pulls == here(it).evictions == ["shared"]
    assert 1 not in seen, "not while the other one had no verdict"


def test_an_image_in_use_stays_known_and_is_tried_again(imaged: Callable[..., Run]) -> None:
    it = imaged(3, slots=1)
    here(it).in_use = {it.image(0)}
    it.drive()

    assert here(it).evictions.count(it.image(0)) > 1
    assert it.journal.pulled() == (PulledImage(it.image(0)),)


def test_what_an_earlier_session_pulled_goes_when_the_run_goes_on(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(2)
    it.executor.script[it.ids[1]] = fails(FailureKind.AGENT_CRASHED)
    here(it).in_use = {it.image(0)}
    it.drive()
    here(it).in_use.clear()
    another_session(it)
    it.drive()

    assert here(it).present == set()
    assert it.journal.pulled() == ()


def test_a_stop_begins_no_pull_and_a_second_one_leaves_all_to_the_next_session(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(12, slots=1)
    started: list[Any] = []

    def stop(event: Any) -> None:
        if isinstance(event, Start):
            it.stop.count = 1
            started.append(len(here(it).pulls))
        if isinstance(event, RolloutResult):
            it.stop.count = 2

    it.drive(stop)
    assert len(here(it).pulls) == started[0]
    evicted = len(here(it).evictions)
    another_session(it)
    it.drive()

    assert set(it.journal.state().verdicts) == set(it.ids)
    assert (evicted, here(it).present, it.journal.pulled()) == (0, set(), ())


@pytest.mark.parametrize("keep", [True, "auto", False])
def test_a_half_pulled_image_of_a_killed_session_comes_again(
    imaged: Callable[..., Run], keep: bool | str
) -> None:
    it = imaged(3, {**AUTO, "cluster.images.keep": keep})
    here(it).holding = True
    driver = it.make_driver()
    for _ in zip(range(20), driver.events(it.plan), strict=False):
        pass  # and it is killed
    assert len(it.journal.pulled()) == 2
    another_session(it, "")
    it.drive()

    assert graded_once(it)
    assert len(here(it).pulls) == 3
    assert len(it.journal.pulled()) == (0 if keep is False else 3), "all of them are the run's"


@pytest.mark.parametrize("problem", ["away", "quota", "engine"])
def test_what_waiting_mends_costs_no_instance_anything_and_is_said(
    imaged: Callable[..., Run], problem: str
) -> None:
    it = imaged(4)
    for name in it.sizes or ():
        here(it).failures[name] = [failure(PullProblem(problem))] * 4
    said = notices(it)

    assert graded_once(it)
    held = [notice for notice in said if "so says the test" in notice.text]
    assert held
    assert "until" in held[0].text


@pytest.mark.parametrize("keep", ["auto", False])
def test_a_disk_that_holds_less_than_was_guessed_fails_no_instance(
    imaged: Callable[..., Run], keep: bool | str
) -> None:
    settings = {**AUTO, "cluster.images.keep": keep, "cluster.images.reserve_gb": 0}
    it = imaged(12, settings)
    guess = {name: ImageSize((Layer(name, 10**8),), estimated=True) for name in it.sizes or ()}
    it.sizes = guess
    here(it).disk_gb = 3.5
    it.drive()

    assert graded_once(it)


def test_what_a_registry_asks_to_wait_is_said_with_the_time_of_its_end(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(2)
    for name in it.sizes or ():
        here(it).failures[name] = [failure(PullProblem.QUOTA, 3600.0)]
    (said,) = notices(it)

    assert graded_once(it)
    assert "hub gives no more images" in said.text
    assert it.executor.now > 3600  # type: ignore[attr-defined]


def test_a_quota_of_five_pulls_a_window_is_kept_without_a_refusal(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(12)
    window_s, at = 60.0, []

    class Rationed(FakeImages):
        def do(self, request: Any) -> Any:
            now = it.executor.now  # type: ignore[attr-defined]
            spent = [t for t in at if t > now - window_s]
            if isinstance(request, PullRequest):
                assert len(spent) < 5, "refused"
                at.append(now)
            self.quota = Quota(5, 5 - len(spent), window_s)
            return super().do(request)

    it.executor.images[""] = Rationed()
    said = notices(it)

    assert graded_once(it)
    assert any("5 pulls" in notice.text for notice in said)


@pytest.mark.parametrize("kind", [FailureKind.IMAGE_UNAVAILABLE, None])
def test_an_image_that_can_not_be_had_is_tried_by_its_rollouts_and_recorded(
    imaged: Callable[..., Run], kind: FailureKind | None
) -> None:
    it = imaged(3, {**EVICTS, "rollout.retries": {"image_unavailable": 1}})
    here(it).failures[it.image(1)] = [failure(PullProblem.REFUSED)] * 9
    journaled: list[bool] = []

    def comes(request: Any) -> RolloutResult:
        journaled.append(PulledImage(it.image(1)) in it.journal.pulled())
        assert not request.assignment.image_is_here
        if kind is not None:
            return fails(kind)(request)
        here(it).present.add(it.image(1))
        return ends(request, Outcome.GAVE_UP)

    it.executor.script[it.ids[1]] = comes
    it.drive()

    state = it.journal.state()
    assert set(state.failures) == ({it.ids[1]} if kind else set())
    assert journaled == [True] * (2 if kind else 1)
    assert it.journal.pulled() == ()
    assert here(it).present == set()


def test_images_that_can_not_be_had_hold_up_no_other(imaged: Callable[..., Run]) -> None:
    """So many failures in a row pause all rollouts, where an engine may be to blame."""
    it = imaged(9, {**EVICTS, "rollout.retries": {"image_unavailable": 0}})
    for number in range(6):
        here(it).failures[it.image(number)] = [failure(PullProblem.REFUSED)] * 9
        it.executor.script[it.ids[number]] = fails(FailureKind.IMAGE_UNAVAILABLE)

    said = notices(it)

    assert not [notice.text for notice in said if "in a row" in notice.text]
    assert set(it.journal.state().failures) == set(it.ids[:6])


@pytest.mark.parametrize("stage", ["rollout", "grade"])
def test_an_image_that_somebody_removed_comes_again_and_no_retry_is_used(
    imaged: Callable[..., Run], stage: str
) -> None:
    it = imaged(4, {**EVICTS, "rollout.retries": {}})
    key = RolloutKey(it.config.run_id, it.ids[1], 1)

    def remove(event: Any) -> None:
        if isinstance(event, Start) and event.key == key and event.stage == stage:
            if not removed:
                here(it).present.discard(it.image(1))
                it.executor.gone.add(key)
            removed.append(event)

    removed: list[Start] = []
    it.drive(remove)

    assert graded_once(it)
    assert len(removed) == 2
    assert here(it).pulls.count(it.image(1)) == 2
    assert it.journal.pulled() == ()


def test_a_patch_is_graded_before_its_image_goes_on_the_node_that_has_it(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(12, nodes=("one", "two"))
    where: dict[str, set[str]] = {}

    def look(event: Any) -> None:
        if isinstance(event, Start):
            assert it.images_of(event.key) in here(it, event.node).present
            where.setdefault(event.key.instance_id, set()).add(event.node)

    it.drive(look)

    assert graded_once(it)
    assert all(len(nodes) == 1 for nodes in where.values())
    assert set.union(*where.values()) == {"one", "two"}
    pulls = [*here(it, "one").pulls, *here(it, "two").pulls]
    assert len(pulls) == len(set(pulls)) == 12
    assert {r.assignment.node for r in it.executor.grade_requests} == {"one", "two"}


def test_no_node_runs_more_than_its_slots(imaged: Callable[..., Run]) -> None:
    it = imaged(12, nodes=("one", "two"), slots=9)
    busy: dict[tuple[str, str], set[str]] = {}

    def look(event: Any) -> None:
        if isinstance(event, Start):
            of_stage = busy.setdefault((event.node, event.stage), set())
            of_stage.add(event.key.instance_id)
            assert len(of_stage) <= (2 if event.stage == "rollout" else 1)
        elif isinstance(event, RolloutResult | GradeResult):
            stage = "rollout" if isinstance(event, RolloutResult) else "grade"
            for (_, of), running in busy.items():
                if of == stage:
                    running.discard(event.key.instance_id)

    it.drive(look)
    assert graded_once(it)


def test_a_node_that_goes_loses_its_images_and_another_one_brings_them(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(12, nodes=("one", "two"), slots=1)
    seen: list[Any] = []

    def lose(event: Any) -> None:
        seen.append(event)
        if isinstance(event, GradeResult) and "two" in it.executor.images:
            del it.executor.images["two"]

    it.executor.images["two"].holding = True
    it.drive(lose)

    assert set(it.journal.state().verdicts) == set(it.ids)
    assert here(it, "one").present == set()


def test_a_node_that_comes_later_is_looked_at_and_used(imaged: Callable[..., Run]) -> None:
    it = imaged(12, nodes=("one",), slots=4)
    here(it, "one").holding = True
    late = FakeImages(present={it.image(3)})

    def come(event: Any) -> None:
        if it.executor.now > 50:  # type: ignore[attr-defined]
            it.executor.images["two"] = late
        here(it, "one").holding = not late.pulls

    it.drive(come)

    assert graded_once(it)
    assert late.pulls
    assert it.image(3) not in (*late.pulls, *here(it, "one").pulls)
    assert late.present == {it.image(3)}, "it was there before"


def test_a_node_that_can_not_say_what_it_has_is_asked_again(imaged: Callable[..., Run]) -> None:
    it = imaged(2, nodes=("one",))
    here(it, "one").knows = False

    def mend(event: Any) -> None:
        here(it, "one").knows = it.executor.now > 100  # type: ignore[attr-defined]

    said = notices(it, mend)

    assert graded_once(it)
    assert "no node has told" in said[0].text


def test_where_nobody_can_say_what_is_free_images_come_all_the_same(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(6)
    here(it).knows = False
    it.drive()

    assert graded_once(it)


def test_under_the_reserve_nothing_starts_until_there_is_room(imaged: Callable[..., Run]) -> None:
    it = imaged(4, {**KEEPS, "cluster.images.reserve_gb": 5})
    disk = here(it)
    disk.disk_gb = 4

    def free(event: Any) -> None:
        if it.executor.now > 100:  # type: ignore[attr-defined]
            disk.disk_gb = 100
        else:
            assert not isinstance(event, Start)

    said = notices(it, free)

    assert graded_once(it)
    assert any("images' disk" in notice.text for notice in said)


def test_what_fits_nowhere_is_waited_for_and_then_ends_the_run_with_a_line(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(3, {**KEEPS, "cluster.images.reserve_gb": 5})
    here(it).disk_gb = 8.0
    sizes = dict(it.sizes or {})
    sizes[it.image(0)] = ImageSize((Layer("huge", 40 * 10**9),), "of a manifest")
    it.sizes = sizes
    driver = it.make_driver()
    said: list[str] = []

    with pytest.raises(PrerequisiteError) as caught:
        said.extend(driver.notice().text for _ in driver.events(it.plan))

    line = str(caught.value)
    assert "\n" not in line
    for words in (it.image(0), "GB", "resume", "reserve_gb"):
        assert words in line
    assert set(it.journal.state().outcomes) == set(it.ids[1:]), "those that fit came first"
    assert any(it.image(0) in text and "until" in text for text in said)
    assert it.executor.now > PATIENCE_S  # type: ignore[attr-defined]
    assert not it.journal.state().failures.keys() - {it.ids[0]}

    another_session(it)
    here(it).disk_gb = 900.0
    it.drive()
    assert graded_once(it)


def test_room_that_somebody_makes_in_time_is_used(imaged: Callable[..., Run]) -> None:
    it = imaged(2, {**KEEPS, "cluster.images.reserve_gb": 5})
    here(it).disk_gb = 5.5

    def free(event: Any) -> None:
        if it.executor.now > PATIENCE_S * 0.9:  # type: ignore[attr-defined]
            here(it).disk_gb = 100

    it.drive(free)
    assert graded_once(it)


def test_the_display_is_told_how_the_images_come_once_a_second(
    imaged: Callable[..., Run],
) -> None:
    it = imaged(4)
    statuses = [event for event in it.drive() if isinstance(event, ImageStatus)]

    assert any(status.pulling == 2 and status.total > 0 for status in statuses)
    assert statuses[-1].pulling == 0
    assert len(statuses) <= it.executor.now / 1.0 + 2  # type: ignore[attr-defined]


def test_images_that_are_built_are_left_to_who_uses_them(imaged: Callable[..., Run]) -> None:
    it = imaged(3)
    it.sizes = {it.image(1): (it.sizes or {})[it.image(1)]}
    it.drive()

    assert graded_once(it)
    assert here(it).pulls == [it.image(1)]
    by_id = {r.key.instance_id: r.assignment.image_is_here for r in it.executor.rollout_requests}
    assert by_id == {it.ids[0]: False, it.ids[1]: True, it.ids[2]: False}
