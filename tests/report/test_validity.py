"""Whether a run's number may be quoted: every reason that it may not, and its neighbours that are
none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from support.rows import asked, decision, failed, graded, key_of, rolled, state

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.report.build import Report, build_report
from orchestrator.report.markdown import headline, render_markdown
from orchestrator.report.validity import Drift, Part
from orchestrator.types import (
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    Outcome,
    RequestResult,
)

ASKING = load_config(RunRequest("demo", run_id="r1"))
GOLD = load_config(RunRequest("demo", agent="gold", run_id="r1"))
NOP = load_config(RunRequest("demo", agent="nop", run_id="r1"))
PREDICTIONS = load_config(RunRequest("demo", predictions={"name": "theirs"}, run_id="r1"))


def report(seen: RunState, config: RunConfig = ASKING, **more: Any) -> Report:
    return build_report(config, seen, {}, **more)


def with_settings(**settings: Any) -> RunConfig:
    given = {f"report.{name}": value for name, value in settings.items()}
    return load_config(RunRequest("demo", run_id="r1", settings=given))


def played(ends: str, repos: str = "ab", requests: Sequence[Any] = ()) -> RunState:
    """A run of which each letter is an instance, in the order of their ends.

    r resolved, u unresolved, e empty, s empty as its steps were over, f format errors,
    t time limit, o context overflow, a patch that does not apply, l tests that ran long,
    n tests without results. Repositories take turns.
    """
    ids = [f"{repos[n % len(repos)]}-{n}" for n in range(len(ends))]
    rollouts, grades = [], []
    for instance_id, end in zip(ids, ends, strict=True):
        outcome = OUTCOMES.get(end, Outcome.SUBMITTED)
        patch = "" if end in "efsto" else "diff"
        rollouts.append(rolled(instance_id, patch=patch, outcome=outcome))
        if patch:
            reason = REASONS.get(end, GradeReason.TESTS)
            grades.append(graded(instance_id, end == "r", reason=reason))
    return state(*rollouts, grades=grades, ids=ids, requests=requests)


OUTCOMES = {
    "e": Outcome.GAVE_UP,
    "s": Outcome.STEP_LIMIT,
    "f": Outcome.FORMAT_ERRORS,
    "t": Outcome.TIME_LIMIT,
    "o": Outcome.CONTEXT_OVERFLOW,
}
REASONS = {
    "a": GradeReason.PATCH_DOES_NOT_APPLY,
    "l": GradeReason.TESTS_TIMED_OUT,
    "n": GradeReason.NO_TEST_RESULTS,
}


def quarantined(seen: RunState, reason: str, config: RunConfig = ASKING, **more: Any) -> None:
    found = report(seen, config, **more)
    assert found.validity.is_quarantined
    assert not found.validity.is_valid
    assert any(reason in line for line in found.validity.reasons), found.validity.reasons
    text = headline(found)
    assert text.startswith("quarantined: ")
    assert text.index(found.validity.reasons[0]) < text.index(f"; {found.resolved} of ")
    first_lines = render_markdown(found, seen).split("\n")[:3]
    assert any(line.startswith("**quarantined: ") for line in first_lines)


def test_a_run_that_went_well_is_valid_in_the_same_breath_as_its_number() -> None:
    found = report(played("ru" * 10))

    assert (found.validity.is_valid, found.validity.is_quarantined) == (True, False)
    assert found.validity.reasons == ()
    assert headline(found).startswith("10 of 20 resolved (50.0%")
    assert headline(found).endswith("), valid")


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - {FailureKind.INTERRUPTED}))
def test_a_failure_that_is_left_quarantines_a_run(kind: FailureKind) -> None:
    seen = state(rolled("a"), failed("b", 1, kind), grades=[graded("a", True)], ids=("a", "b"))

    quarantined(seen, "1 of 2 instances has no verdict")


def test_a_grade_that_failed_quarantines_a_run() -> None:
    quarantined(
        state(rolled("a"), grades=[graded("a", None)], ids=("a",)),
        "1 of 1 instance has no verdict (the worker was lost: 1)",
    )


def test_an_instance_without_a_prediction_quarantines_a_run() -> None:
    seen = state(rolled("a"), grades=[graded("a", True)], ids=("a", "b"))

    quarantined(seen, "no prediction was given: 1", PREDICTIONS)


def test_what_a_person_has_decided_leaves_a_run_valid() -> None:
    seen = state(
        rolled("a"),
        grades=[graded("a", None)],
        ids=("a",),
        decisions=[decision("a", "diff")],
    )

    assert report(seen).validity.is_valid


@pytest.mark.parametrize(
    "seen",
    [
        state(ids=("a",)),
        state(rolled("a"), grades=[graded("a", True)], ids=("a", "b")),
        state(rolled("a"), ids=("a",)),
        state(failed("a", 1, FailureKind.INTERRUPTED), ids=("a",)),
    ],
    ids=["nothing yet", "one not started", "one not graded", "a person said stop"],
)
def test_a_run_that_goes_on_is_unfinished_and_not_suspect(seen: RunState) -> None:
    found = report(seen)

    assert (found.validity.is_valid, found.validity.is_quarantined) == (False, False)
    assert headline(found).startswith("unfinished: 1 of ")
    assert " resolved so far (" in headline(found)


@pytest.mark.parametrize(
    "seen",
    [
        state(failed("a", 1, FailureKind.INTERNAL_ERROR), rolled("a", 2, patch=""), ids=("a",)),
        state(
            rolled("a"),
            grades=[
                GradeResult(
                    GradeRecord(
                        key_of("a"),
                        rolled("a").record.patch_sha256,
                        failure=failed("a", 1, FailureKind.INTERNAL_ERROR).failure,
                    )
                ),
                graded("a", True),
            ],
            ids=("a",),
        ),
    ],
    ids=["of a rollout", "of a grade"],
)
def test_a_bug_of_ours_quarantines_a_run_though_a_retry_went_well(seen: RunState) -> None:
    assert report(seen).valid
    quarantined(seen, "this program's own code failed 1 time (internal_error), first at a")


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ("e" * 5, "5 of 5 rollouts ended without a patch"),
        ("e" * 6 + "u" * 4, "6 of 10 rollouts ended without a patch"),
        ("s" * 5, "5 of 5 rollouts ended without a patch"),
        ("s" * 19 + "u", "19 of 20 rollouts ended without a patch"),
        ("ees" * 4 + "u" * 2, "12 of 14 rollouts ended without a patch"),
        ("fu" * 5 + "ff", "7 of 12 rollouts ended in format_errors"),
        ("ot" + "o" * 9, "10 of 11 rollouts ended in context_overflow"),
        ("t" * 5, "5 of 5 rollouts ended in time_limit"),
        ("a" * 5, "5 of 5 verdicts say that the patch does not apply"),
        ("l" * 9 + "r", "9 of 10 verdicts say that the tests ran too long"),
        ("n" * 9 + "r", "9 of 10 verdicts came of tests that printed no results"),
    ],
)
def test_too_many_that_ended_alike_quarantine_a_run(ends: str, reason: str) -> None:
    quarantined(played(ends), reason)


@pytest.mark.parametrize(
    "ends", ["e" * 4, "eu" * 10, "u" * 40, "ssssu" * 8, "sssefu" * 6, "fuut" * 9, "alnu" * 6]
)
def test_a_weak_model_is_not_taken_for_a_sick_server(ends: str) -> None:
    assert report(played(ends)).validity.is_valid


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (
            "u" * 20 + "f" * 8,
            "8 rollouts in a row ended in format_errors: the model's answers could not be used, "
            "from a-20 on, and 0 of the 20 others",
        ),
        ("u" * 20 + "fffff", "from a-20 on"),
        ("uf" + "u" * 18 + "ffffffuffffff", "12 rollouts in a row ended in format_errors"),
        ("f" * 8 + "u" * 30, "first a-0, and 0 of the 30 others"),  # mended in the night
        ("u" * 10 + "f" * 8 + "u" * 30, "first a-10, and 0 of the 40 others"),
        ("u" * 20 + "e" * 8, "8 rollouts in a row ended without a patch, from a-20 on"),
        ("u" * 20 + "s" * 8, "8 rollouts in a row ended without a patch, from a-20 on"),
        ("u" * 20 + "t" * 6, "ended in time_limit"),
        ("u" * 20 + "o" * 6, "ended in context_overflow"),
        ("u" * 20 + "n" * 6, "6 verdicts in a row came of tests that printed no results"),
    ],
)
def test_what_goes_wrong_from_one_moment_on_quarantines_a_run(ends: str, reason: str) -> None:
    quarantined(played(ends), reason)


@pytest.mark.parametrize(
    "ends",
    ["u" * 20 + "ffff", "ufuuf" * 8 + "fffff", "u" * 5 + "f" + "u" * 14 + "f" * 4],
)
def test_format_errors_now_and_then_quarantine_no_run(ends: str) -> None:
    assert report(played(ends)).validity.is_valid


def test_the_hard_tasks_of_one_repository_are_no_moment() -> None:
    ids = [*(f"easy-{n}" for n in range(20)), *(f"hard-{n}" for n in range(8))]
    outcomes = [rolled(i, patch="") if i.startswith("hard") else rolled(i) for i in ids]
    grades = [graded(i, False) for i in ids if i.startswith("easy")]

    assert report(state(*outcomes, grades=grades, ids=ids)).validity.is_valid


def test_answers_of_reasoning_alone_quarantine_a_run() -> None:
    requests = [
        asked(f"{'ab'[n % 2]}-{n}", result)
        for n in range(6)
        for result in (RequestResult.SWALLOWED, RequestResult.SWALLOWED, RequestResult.ANSWERED)
    ]
    seen = played("u" * 6, requests=requests)

    quarantined(seen, "6 of 6 rollouts got answers of reasoning alone, mostly")


def test_a_rollout_that_swallowed_all_of_its_answers_quarantines_no_run() -> None:
    many = [asked("a-0", RequestResult.SWALLOWED) for _ in range(70)]
    others = [asked(f"{'ab'[n % 2]}-{n}") for n in range(1, 6)]

    assert report(played("u" * 6, requests=[*many, *others])).validity.is_valid


def test_agents_without_a_model_are_controls_and_may_change_nothing() -> None:
    assert report(played("e" * 9), NOP).validity.is_valid
    assert report(played("f" * 9), NOP).validity.is_valid
    quarantined(played("a" * 9), "does not apply", GOLD)
    quarantined(played("e" * 9), "without a patch", PREDICTIONS)


def test_thresholds_are_settings() -> None:
    third = played("eru" * 10)

    assert report(third).validity.is_valid
    quarantined(third, "10 of 30 rollouts", with_settings(quarantine_share=0.3))
    quarantined(played("e"), "1 of 1 rollout", with_settings(quarantine_least=1))
    assert report(played("e" * 9), with_settings(quarantine_share=1.0)).validity.is_valid
    assert report(played("u" * 20 + "f" * 8), with_settings(quarantine_stretch=9)).validity.is_valid


def begun(*starts: float) -> RunState:
    """Instances whose rollouts began at these times, and their grades 100 s later."""
    ids = [f"a-{n}" for n in range(len(starts))]
    rollouts = [rolled(i, started_at=start) for i, start in zip(ids, starts, strict=True)]
    grades = [
        replace(made, record=replace(made.record, started_at=start + 100))
        for made, start in ((graded(i, True), s) for i, s in zip(ids, starts, strict=True))
    ]
    return state(*rollouts, grades=grades, ids=ids)


OTHER = "http://gpu/v1 shows another version"


@pytest.mark.parametrize(
    ("drift", "starts", "is_mixed"),
    [
        (Drift(Part.SERVER, OTHER, 20), (10, 30), True),
        (Drift(Part.AGENT, OTHER, 20), (10, 30), True),
        (Drift(Part.HOST, OTHER, 20), (10, 30), True),
        (Drift(Part.HOST, OTHER, 120), (10, 30), True),  # the grades alone are of both
        (Drift(Part.HARNESS, OTHER, 120), (10, 30), True),
        (Drift(Part.HARNESS, OTHER, 20), (10, 30), False),  # all was graded after it
        (Drift(Part.SERVER, OTHER, 120), (10, 30), False),
        (Drift(Part.SERVER, OTHER, 20), (10, 12), False),  # nothing was done after it
        (Drift(Part.SERVER, OTHER, 20), (30, 40), False),  # nothing that counts was done before
        (Drift(Part.SERVER, OTHER, 20, within_session=True), (30, 40), True),
        (Drift(Part.SERVER, OTHER, 20, within_session=True), (10, 12), False),
        (Drift(Part.SERVER, OTHER, 20, until=30), (10, 25, 40), True),
        (Drift(Part.SERVER, OTHER, 20, until=30), (10, 40), False),  # nothing came of it
    ],
)
def test_what_changed_on_the_way_quarantines_a_run_whose_results_are_of_both(
    drift: Drift, starts: tuple[float, ...], is_mixed: bool
) -> None:
    if is_mixed:
        quarantined(begun(*starts), f"{OTHER}: the results are of both", drifts=[drift])
    else:
        assert report(begun(*starts), drifts=[drift]).validity.is_valid


def test_an_image_that_moved_on_the_way_quarantines_a_run() -> None:
    seen = state(
        failed("a"),
        rolled("a", 2, patch="", image="x@sha256:1"),
        rolled("b", patch="", image="x@sha256:5"),
        ids=("a", "b"),
    )

    assert report(seen, images={"a": "mirror/x@sha256:1"}).validity.is_valid
    quarantined(seen, "a tag has moved", images={"a": "x@sha256:2"})
