from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.evidence import (
    GOLD,
    KEY,
    change,
    counted,
    evidence,
    grade,
    rollout,
    steps,
)

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Cause, Evidence
from orchestrator.evidence.taxonomy import RULES, find
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutRecord,
    Usage,
)

WRONG, TEST, SCRIPT = change("src/other.py"), change("tests/test_new.py", new=True), "reproduce.py"
REPRODUCTION = change(SCRIPT, new=True)
DIFFERENT = [f"cat file{n}" for n in range(12)]
STALE = counted(f2p="FF", p2p="..")
PRINTED = ">>>>> Start Test Output\ntest_a ... ok\n>>>>> End Test Output\n>>>>> Test Exit Code: "


def unusable(outcome: Outcome, answers: int) -> RolloutRecord:
    return rollout(outcome, unusable_answers=answers)


CASES: dict[str, tuple[Cause, Evidence]] = {
    "answers without an action": (Cause.FORMAT, evidence(Outcome.FORMAT_ERRORS)),
    "format errors after an edit": (Cause.FORMAT, evidence(Outcome.FORMAT_ERRORS, GOLD)),
    "most answers held no action until the steps were over": (
        Cause.FORMAT,
        evidence(Outcome.STEP_LIMIT, rollout=unusable(Outcome.STEP_LIMIT, 8)),
    ),
    "one command for ever": (
        Cause.LOOPED,
        evidence(Outcome.STEP_LIMIT, steps=steps(*["ls"] * 5)),
    ),
    "one command until the loop limit": (
        Cause.LOOPED,
        evidence(Outcome.STEP_LIMIT, steps=steps("look", "ls", "ls", "ls")),
    ),
    "two commands for ever": (
        Cause.LOOPED,
        evidence(Outcome.TIME_LIMIT, steps=steps(*["look", *["ls", "pwd"] * 4])),
    ),
    "circles after an edit": (
        Cause.LOOPED,
        evidence(Outcome.CONTEXT_OVERFLOW, GOLD, steps=steps(*["edit", *["pytest"] * 6])),
    ),
    "one command most of the time": (
        Cause.LOOPED,
        evidence(Outcome.STEP_LIMIT, steps=steps(*["ls", "a", "ls", "b", "ls", "c", "ls", "ls"])),
    ),
    "no room for the conversation": (Cause.CONTEXT, evidence(Outcome.CONTEXT_OVERFLOW)),
    "no room after an edit": (Cause.CONTEXT, evidence(Outcome.CONTEXT_OVERFLOW, GOLD)),
    "no time": (Cause.TIMED_OUT, evidence(Outcome.TIME_LIMIT)),
    "no time after an edit": (Cause.TIMED_OUT, evidence(Outcome.TIME_LIMIT, WRONG)),
    "no steps, and nothing changed": (
        Cause.EXPLORING,
        evidence(Outcome.STEP_LIMIT, steps=steps(*DIFFERENT)),
    ),
    "no tokens, and nothing changed": (Cause.EXPLORING, evidence(Outcome.TOKEN_LIMIT)),
    "no steps, and only a reproduction written": (
        Cause.EXPLORING,
        evidence(Outcome.STEP_LIMIT, REPRODUCTION),
    ),
    "no steps after an edit": (Cause.NOT_SUBMITTED, evidence(Outcome.STEP_LIMIT, GOLD)),
    "gave up after an edit": (Cause.NOT_SUBMITTED, evidence(Outcome.GAVE_UP, WRONG)),
    "gave up": (Cause.NO_EDIT, evidence(Outcome.GAVE_UP)),
    "submitted nothing": (Cause.NO_EDIT, evidence(Outcome.SUBMITTED)),
    "an empty prediction of others": (
        Cause.NO_EDIT,
        evidence(rollout=RolloutRecord(KEY, outcome=Outcome.GAVE_UP)),
    ),
    "git takes no such patch": (
        Cause.DOES_NOT_APPLY,
        evidence(patch="this is no patch\n", reason=GradeReason.PATCH_DOES_NOT_APPLY),
    ),
    "printed its own results": (
        Cause.SPOOFED,
        evidence(patch=GOLD, reason=GradeReason.NO_TEST_RESULTS, test_output=PRINTED + "1\n"),
    ),
    "tests alone": (Cause.TESTS_ONLY, evidence(patch=TEST, tests=STALE)),
    "a reproduction alone": (Cause.TESTS_ONLY, evidence(patch=REPRODUCTION, tests=STALE)),
    "tests and a reproduction": (Cause.TESTS_ONLY, evidence(patch=TEST + REPRODUCTION)),
    "tests of the benchmark alone": (
        Cause.TESTS_ONLY,
        evidence(patch=change("src/cases.py"), gold_test_patch=change("src/cases.py")),
    ),
    "tests that never end": (
        Cause.TESTS_TOO_LONG,
        evidence(patch=GOLD, reason=GradeReason.TESTS_TIMED_OUT),
    ),
    "no result of any test": (
        Cause.TESTS_DID_NOT_RUN,
        evidence(patch=GOLD, reason=GradeReason.NO_TEST_RESULTS),
    ),
    "tests that a signal has ended": (
        Cause.TESTS_DID_NOT_RUN,
        evidence(patch=GOLD, reason=GradeReason.NO_TEST_RESULTS, test_output=PRINTED + "139\n"),
    ),
    "mended one thing and broke another": (
        Cause.BROKE_TESTS,
        evidence(patch=GOLD, tests=counted(f2p="..", p2p=".F")),
    ),
    "broke all": (Cause.BROKE_TESTS, evidence(patch=WRONG, tests=counted(f2p="F", p2p="FF"))),
    "another file": (Cause.WRONG_FILE, evidence(patch=WRONG, tests=STALE)),
    "another file and a test": (Cause.WRONG_FILE, evidence(patch=WRONG + TEST, tests=STALE)),
    "the same file": (Cause.RIGHT_FILE, evidence(patch=GOLD, tests=STALE)),
    "the same file and another": (Cause.RIGHT_FILE, evidence(patch=GOLD + WRONG, tests=STALE)),
    "a test file that the gold patch changes": (
        Cause.RIGHT_FILE,
        evidence(patch=TEST, gold_patch=TEST, tests=STALE),
    ),
    "half of it": (Cause.STILL_FAILING, evidence(patch=GOLD, tests=counted(f2p=".F", p2p="."))),
    "half of it, elsewhere": (
        Cause.STILL_FAILING,
        evidence(patch=WRONG, tests=counted(f2p=".F", p2p=".")),
    ),
    "no gold patch is known": (
        Cause.STILL_FAILING,
        evidence(patch=WRONG, gold_patch="", tests=STALE),
    ),
    "the harness's files are gone": (
        Cause.UNEXPLAINED,
        evidence(patch=GOLD, problems=("report.json: No such file or directory",)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_unresolved_instance_has_the_cause_that_its_evidence_shows(name: str) -> None:
    cause, seen = CASES[name]

    found = find(seen)

    assert found.cause == cause
    assert found.because
    assert "\n" not in found.because


def test_every_cause_has_a_rule_and_a_case_that_shows_it() -> None:
    assert [rule.cause for rule in RULES] == list(Cause)
    assert {cause for cause, _ in CASES.values()} == set(Cause)
    assert all(rule.words and rule.explanation.endswith(".") for rule in RULES)


def test_the_documentation_explains_every_cause_in_the_order_of_the_rules() -> None:
    page = Path(__file__).parents[2] / "docs" / "taxonomy.md"
    lines = page.read_text(encoding="utf-8").splitlines()

    headings = [line[4:] for line in lines if line.startswith("### ")]
    assert headings == [f"{rule.words} (`{rule.cause}`)" for rule in RULES]


FAILURE = Failure(FailureKind.ENDPOINT_UNAVAILABLE, "the server is away")


@pytest.mark.parametrize(
    "seen",
    [
        evidence(rollout=None),
        evidence(rollout=RolloutRecord(KEY, failure=FAILURE)),
        evidence(patch=GOLD, grade=None),
        evidence(patch=GOLD, grade=GradeRecord(KEY, "", failure=FAILURE)),
        evidence(patch=GOLD, grade=grade(resolved=True)),
        evidence(Outcome.STEP_LIMIT, patch=GOLD, grade=None),
    ],
    ids=["not started", "failed", "not graded", "grade failed", "resolved", "salvaged, ungraded"],
)
def test_what_is_resolved_or_has_no_verdict_has_no_cause(seen: Evidence) -> None:
    assert find(seen).cause is None


def test_a_finding_says_what_else_holds() -> None:
    facts = find(evidence(Outcome.STEP_LIMIT, WRONG, tests=STALE)).facts

    assert facts["submitted"] is False
    assert (facts["gold_files"], facts["gold_files_edited"]) == (1, 0)
    assert (facts["fail_to_pass_failing"], facts["pass_to_pass_failing"]) == (2, 0)


@pytest.mark.parametrize(
    "commands",
    [
        DIFFERENT,
        ["ls", "ls"],
        ["a", "b", "a", "b"],
        [f"pytest {n}" for n in range(9)],
        ["", "", "", "", ""],
        ["make", "edit", "make", "edit a", "make", "edit b"],
        [],
    ],
)
def test_work_that_goes_on_is_no_loop(commands: list[str]) -> None:
    assert find(evidence(Outcome.STEP_LIMIT, steps=steps(*commands))).cause != Cause.LOOPED


def test_the_same_command_that_prints_something_new_is_no_loop() -> None:
    polled = [Step("", "tail log", f"line {number}") for number in range(9)]

    assert find(evidence(Outcome.STEP_LIMIT, steps=polled)).cause == Cause.EXPLORING


def test_a_submitted_patch_did_not_loop_whatever_came_before() -> None:
    seen = evidence(patch=WRONG, tests=STALE, steps=steps(*["ls"] * 8, "submit"))

    assert find(seen).cause == Cause.WRONG_FILE


def test_a_single_step_is_not_called_steps() -> None:
    once = rollout(Outcome.GAVE_UP, usage=Usage(steps=1))

    assert "1 step and" in find(evidence(Outcome.GAVE_UP, rollout=once)).because


def test_many_files_are_named_in_part() -> None:
    patch = "".join(change(f"src/part{n}.py") for n in range(9))

    assert "and 6 more" in find(evidence(patch=patch, tests=STALE)).because


def test_names_of_any_kind_and_length_make_one_line() -> None:
    odd = change("src/" + "x" * 3000 + "\x1b[31m\u202e.py")

    because = find(evidence(patch=odd, tests=STALE)).because

    assert len(because) <= 600
    assert because.isprintable()


def test_causes_are_counted_once_an_instance() -> None:
    found = Counter(find(seen).cause for _, seen in CASES.values())

    assert sum(found.values()) == len(CASES)


def test_an_empty_prediction_is_not_told_as_a_rollout_that_nobody_saw() -> None:
    found = find(evidence(rollout=RolloutRecord(KEY, outcome=Outcome.GAVE_UP)))

    assert found.because == "its patch is empty, and no step of it is on record"
    assert "ended as gave_up after 9 steps" in find(evidence(Outcome.GAVE_UP)).because
