from __future__ import annotations

from dataclasses import replace

import pytest
from support.rows import failed, graded, key_of, rolled, state

from orchestrator.display.view import View, describe, image_words, outcome_words
from orchestrator.driver.executor import ImageStatus, ModelStatus
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.driver.time_left import TimeRange
from orchestrator.types import CallCounts, GradeResult, Outcome, RolloutResult, Usage
from orchestrator.worker.messages import Progress

IDS = ("a", "b", "c", "d")


@pytest.fixture
def view() -> View:
    return View.of(state(ids=IDS), now=100.0)


def test_a_new_run_has_nothing_to_show(view: View) -> None:
    assert (view.name, view.instances, view.decided) == ("r1", 4, 0)
    assert view.rate == (0.0, 0.0, 1.0)
    assert view.time_left(200.0) is None


def test_a_run_that_goes_on_starts_where_it_stood() -> None:
    before = state(rolled("a"), rolled("b", patch=""), grades=[graded("a", True)], ids=IDS)
    view = View.of(before, now=0.0)

    assert (view.rolled_out, view.graded, view.to_grade, view.resolved) == (2, 1, 1, 1)
    assert view.decided == 2


def test_a_slot_follows_its_rollout(view: View) -> None:
    view.apply(Start(Stage.ROLLOUT, key_of("a", 1)), 101.0)
    slot = view.slots[(Stage.ROLLOUT, key_of("a"))]
    assert (slot.since, slot.phase) == (101.0, "starts")

    view.apply(Progress(key_of("a"), "agent", 3, "ls"), 102.0)
    assert (slot.phase, slot.steps, slot.activity) == ("agent", 3, "ls")

    view.apply(rolled("a"), 103.0)
    assert not view.slots


def test_a_grade_has_a_slot_of_its_own(view: View) -> None:
    view.apply(Start(Stage.ROLLOUT, key_of("b", 1)), 101.0)
    view.apply(Start(Stage.GRADE, key_of("a", 1)), 101.0)
    view.apply(graded("a", True), 102.0)

    assert list(view.slots) == [(Stage.ROLLOUT, key_of("b"))]


def test_progress_of_a_rollout_that_has_ended_is_dropped(view: View) -> None:
    view.apply(Progress(key_of("a"), "agent"), 101.0)

    assert not view.slots


def test_outcomes_and_verdicts_are_counted(view: View) -> None:
    for event in (rolled("a"), rolled("b"), rolled("c", patch=""), graded("a", True)):
        view.apply(event, 110.0)

    assert view.outcomes == {"submitted": 3}
    assert (view.rolled_out, view.to_grade, view.graded) == (3, 2, 1)
    assert view.decided == 2
    assert view.rate[0] == 0.5
    assert view.rate[1] < 0.5 < view.rate[2]


def test_failures_are_counted_apart(view: View) -> None:
    view.apply(failed("a"), 101.0)
    view.apply(graded("b", None), 102.0)

    assert view.failures == {"worker_lost": 2}
    assert (view.rolled_out, view.graded) == (0, 0)


def test_a_patch_that_is_graded_again_is_not_decided_twice() -> None:
    view = View.of(state(rolled("a"), grades=[graded("a", True)], ids=("a",)), now=0.0)
    view.apply(graded("a", True, patch="new"), 1.0)

    assert view.decided == 1
    assert view.resolved == 1


def test_how_much_time_is_left_is_asked_of_who_knows() -> None:
    asked = []

    def left(now: float) -> TimeRange:
        asked.append(now)
        return TimeRange(60.0, 90.0)

    view = View.of(state(ids=IDS), now=0.0, time_left=left)

    assert view.time_left(7.0) == TimeRange(60.0, 90.0)
    assert asked == [7.0]


def test_what_is_worth_a_line_gets_one(view: View) -> None:
    cut = rolled("a", outcome=Outcome.STEP_LIMIT, salvaged=True, usage=Usage(steps=9))

    assert describe(cut, view) == "■ a: out of steps (step_limit) after 9 steps, patch salvaged"
    assert describe(rolled("a", patch=""), view) == "■ a: submitted after 0 steps, no patch"
    assert (
        describe(failed("a"), view) == "? a: the worker was lost (worker_lost): something | broke"
    )
    assert describe(graded("a", True), view) == "✓ a: resolved"
    assert describe(graded("a", False), view) == "✗ a: unresolved, its tests fail (tests)"
    assert (
        describe(graded("a", None), view)
        == "? a: the worker was lost (worker_lost): something | broke"
    )
    assert describe(Progress(key_of("a"), "agent"), view) is None
    assert describe(Start(Stage.GRADE, key_of("a", 1)), view) is None


def test_a_rollout_whose_calls_were_broken_says_so_in_its_line(view: View) -> None:
    ended = rolled("a", usage=Usage(steps=1), calls=CallCounts(9, {"malformed": 2, "no call": 6}))

    assert describe(ended, view) == "■ a: submitted after 1 step, 8 of 9 tool calls broken"
    assert describe(rolled("a", calls=CallCounts(9)), view) == "■ a: submitted after 0 steps"
    in_text = rolled("a", usage=Usage(steps=9), unusable_answers=1)
    assert describe(in_text, view) == "■ a: submitted after 9 steps, 1 answer without an action"


def test_outcomes_are_listed_in_the_order_of_their_definition() -> None:
    counts = {"gave_up": 1, "step_limit": 2, "submitted": 5}

    assert outcome_words(counts) == "5 submitted, 2 out of steps, 1 gave up"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ImageStatus(), ""),
        (ImageStatus(ready=3), ""),
        (ImageStatus(pulling=1, total=20_000_000), "pulling 1 image: 0 of 20 MB"),
        (
            ImageStatus(2, 1_200_000_000, 3_400_000_000, False, 25e6, 3),
            "pulling 2 images: 1.2 of 3.4 GB, 25 MB/s, there in 1 min 28 s; 3 ready",
        ),
        (
            ImageStatus(1, 100_000_000, 400_000_000, True, 10e6),
            "pulling 1 image: 100 of about 400 MB, 10 MB/s, there in about 30 s",
        ),
        (ImageStatus(1), "pulling 1 image: 0 of 0 MB"),
    ],
    ids=["nothing", "all there", "no byte yet", "two of them", "estimated", "all shared"],
)
def test_what_comes_is_said_in_bytes_and_with_when_it_is_there(
    status: ImageStatus, words: str
) -> None:
    assert image_words(status) == words


def other(result: RolloutResult | GradeResult) -> RolloutResult | GradeResult:
    """The same of run r2."""
    key = replace(result.key, run_id="r2")
    return replace(result, record=replace(result.record, key=key))  # type: ignore[arg-type]


@pytest.fixture
def two_runs() -> View:
    states = state(rolled("a"), ids=("a", "b")), replace(state(ids=("a", "b")), run_id="r2")
    return View.of(*states, now=0.0, name="an evening")


def test_several_runs_are_counted_together(two_runs: View) -> None:
    assert (two_runs.name, two_runs.instances, two_runs.rolled_out) == ("an evening", 4, 1)
    for event in (other(rolled("a")), graded("a", True), other(graded("a", False))):
        two_runs.apply(event, 60.0)

    assert (two_runs.rolled_out, two_runs.graded, two_runs.resolved) == (2, 2, 1)


def test_lines_tell_the_run_where_there_are_several(two_runs: View) -> None:
    assert describe(rolled("a"), two_runs) == "■ r1 a: submitted after 0 steps"
    assert describe(other(graded("a", True)), two_runs) == "✓ r2 a: resolved"
    lost = "? r2 a: the worker was lost (worker_lost): something | broke"
    assert describe(other(failed("a")), two_runs) == lost


def test_each_of_several_models_has_a_line(two_runs: View) -> None:
    two_runs.apply(ModelStatus("gemma: 3 answers a minute", "gemma"), 1.0)
    two_runs.apply(ModelStatus("qwen: 5 answers a minute", "qwen"), 1.0)
    two_runs.apply(ModelStatus("gemma: 4 answers a minute", "gemma"), 2.0)

    assert two_runs.model_lines == (
        "gemma: 4 answers a minute",
        "qwen: 5 answers a minute",
    )
