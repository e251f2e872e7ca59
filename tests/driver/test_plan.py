from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.rows import RUN_ID, failed, graded, instances, key_of, rolled, state

from orchestrator.driver.plan import Plan, make_plan
from orchestrator.journal import Journal
from orchestrator.types import GradeResult, RolloutResult

IDS = ("a", "b", "c")


def plan(*rollouts: RolloutResult, grades: tuple[GradeResult, ...] = (), **patches: str) -> Plan:
    """The plan of three instances; `a="new"` says that a's patch has been changed to that."""
    now = [
        replace(r, patch=patches[r.key.instance_id])
        if r.outcome and r.key.instance_id in patches
        else r
        for r in rollouts
    ]
    return make_plan(instances(*IDS), state(*now, grades=grades))


def test_a_new_run_rolls_everything_out_in_its_order() -> None:
    assert plan() == Plan((key_of("a", 1), key_of("b", 1), key_of("c", 1)), (), 0)


def test_a_failure_is_redone_under_the_next_attempt() -> None:
    assert plan(failed("b", 1), failed("b", 2)).rollouts[1] == key_of("b", 3)


def test_an_outcome_without_a_patch_is_done() -> None:
    assert plan(rolled("a", patch="")).done == 1


def test_a_patch_without_a_verdict_is_graded() -> None:
    assert plan(rolled("a", 2)).grades == (key_of("a", 2),)


def test_a_grade_that_failed_is_redone() -> None:
    assert plan(rolled("a"), grades=(graded("a", None),)).grades == (key_of("a", 1),)


def test_a_verdict_is_enough() -> None:
    assert plan(rolled("a"), grades=(graded("a", False),), a="diff").done == 1


def test_a_changed_patch_is_graded_again() -> None:
    assert plan(rolled("a"), grades=(graded("a", False),), a="new").grades == (key_of("a", 1),)


def test_a_changed_patch_with_a_verdict_of_its_own_is_done() -> None:
    verdicts = (graded("a", False), graded("a", True, patch="new"))

    assert plan(rolled("a"), grades=verdicts, a="new").done == 1


def test_a_patch_put_into_an_empty_place_is_graded() -> None:
    assert plan(rolled("a", patch=""), a="new").grades == (key_of("a", 1),)


def test_every_grade_that_is_planned_for_a_changed_patch_can_be_recorded(tmp_path: Path) -> None:
    """A patch that was changed, graded, and changed back has its verdict already."""
    with Journal.create(tmp_path / "journal.sqlite", RUN_ID, instances("a")) as journal:
        journal.append_rollout(rolled("a").record)
        journal.append_grade(graded("a", False).record)
        journal.replace_patch(key_of("a"), "new")
        assert make_plan(instances("a"), journal.state()).grades == (key_of("a", 1),)
        journal.append_grade(graded("a", True, patch="new").record)
        assert journal.state().verdicts["a"].resolved
        journal.replace_patch(key_of("a"), "diff")

        assert make_plan(instances("a"), journal.state()).is_empty
        assert not journal.state().verdicts["a"].resolved


results = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.sampled_from(["failure", "empty", "patch"]),
        st.sampled_from(["none", "failure", "verdict"]),
    ),
    max_size=12,
)


@given(results, st.sets(st.sampled_from(IDS)))
def test_every_instance_is_rolled_out_or_graded_or_done_and_only_one_of_them(
    history: list[tuple[str, str, str]], changed: set[str]
) -> None:
    rollouts: list[RolloutResult] = []
    grades: list[GradeResult] = []
    over: dict[str, str] = {}
    attempts = dict.fromkeys(IDS, 0)
    for key, how, grade in history:
        if key in over:
            continue  # after an outcome nothing is rolled out any more
        attempts[key] += 1
        if how == "failure":
            rollouts.append(failed(key, attempts[key]))
            continue
        patch = "diff" if how == "patch" else ""
        rollouts.append(rolled(key, attempts[key], patch))
        over[key] = patch
        if patch and grade != "none":
            grades.append(graded(key, None if grade == "failure" else True, patch, attempts[key]))
    now = {key: "changed" if key in changed else patch for key, patch in over.items()}

    found = plan(*rollouts, grades=tuple(grades), **now)

    rolling = [key.instance_id for key in found.rollouts]
    grading = [key.instance_id for key in found.grades]
    assert rolling == [key for key in IDS if key not in over]
    assert all(key.attempt == attempts[key.instance_id] + 1 for key in found.rollouts)
    decided = {grade.key.instance_id for grade in grades if grade.resolved}
    assert grading == [
        key for key in IDS if key in over and (key in changed or (over[key] and key not in decided))
    ]
    assert all(key.attempt == attempts[key.instance_id] for key in found.grades)
    assert found.done == len(IDS) - len(rolling) - len(grading)
