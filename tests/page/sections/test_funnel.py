from __future__ import annotations

from support.pages import subject_of
from support.rows import decision, failed, graded, rolled, state

from orchestrator.page.sections.funnel import build_funnel
from orchestrator.types import GradeReason, Outcome

BROKEN = GradeReason.PATCH_DOES_NOT_APPLY
SEEN = state(
    *(rolled(i) for i in "abcd"),
    rolled("e", patch="", outcome=Outcome.GAVE_UP),
    failed("f"),
    grades=[graded("a", True), graded("b", False), graded("c", False, reason=BROKEN)],
    ids=tuple("abcdefg"),
)


def test_each_stage_says_how_many_came_so_far_and_who_did_not() -> None:
    funnel = build_funnel(subject_of(SEEN))

    assert [(stage.count, stage.lost) for stage in funnel.stages] == [
        (7, ""),
        (5, "2 without an outcome"),
        (4, "1 changed nothing"),
        (2, "1 did not apply, 1 not graded"),
        (1, "1 with failing tests"),
    ]


def test_every_instance_is_in_one_ending_and_failures_are_told_apart() -> None:
    endings = build_funnel(subject_of(SEEN)).endings

    # d has an outcome, and is not graded: it stands in both
    assert [(e.name, e.count, e.is_failure) for e in endings] == [
        ("submitted", 4, False),
        ("gave_up", 1, False),
        ("not_graded", 1, True),
        ("not_started", 1, True),
        ("worker_lost", 1, True),
    ]


def test_what_a_person_decided_is_no_ending_of_a_rollout() -> None:
    seen = state(failed("a"), ids=("a",), decisions=[decision("a")])

    assert build_funnel(subject_of(seen)).endings == ()


def test_a_run_of_nothing_has_a_funnel_of_nothing() -> None:
    assert {stage.count for stage in build_funnel(subject_of(state(ids=()))).stages} == {0}
