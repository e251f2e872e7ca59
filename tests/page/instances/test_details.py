from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.rows import failed, graded, rolled, state

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Evidence, TestKind, TestResult
from orchestrator.page.instances.details import (
    MAX_FAILED_TESTS,
    MAX_NAMED_TESTS,
    Details,
    details_of,
)
from orchestrator.page.instances.rows import InstanceRow, InstanceVerdict
from orchestrator.types import GradeReason, GradeRecord

ROW = InstanceRow(
    *("a", "repo/a", InstanceVerdict.UNRESOLVED, "wrong file", "it changed b.py", "submitted"),
    *(3, 100, 1.5, 1, ""),
)
EVIDENCE = Evidence("a", "repo/a", rolled("a").record, graded("a", False).record, "diff", "diff")


def details(row: InstanceRow = ROW, **more: Any) -> Details:
    return details_of(replace(EVIDENCE, **more), row, state(rolled("a")))


def failing(count: int) -> tuple[TestResult, ...]:
    return tuple(
        TestResult(f"test_{n}", TestKind.PASS_TO_PASS, False, "boom") for n in range(count)
    )


def test_a_step_has_thought_command_observation_and_tokens() -> None:
    step = Step("think", "ls", "a.py\n", prompt_tokens=12, completion_tokens=3)

    assert details(steps=[step]).steps == [
        {
            "thought": "think",
            "command": "ls",
            "observation": "a.py\n",
            "prompt_tokens": 12,
            "completion_tokens": 3,
        }
    ]


@pytest.mark.parametrize(
    ("observation", "shown", "stands"),
    [
        ("a.py\n", "<output>\na.py\n</output>", False),
        ("a.py\nb.py\nc.py\n", "<output>\na.py\n[cut]\n</output>", True),
        ("", "Your answer held no command.", True),
        ("a.py", None, False),
    ],
)
def test_what_the_model_was_shown_stands_beside_where_it_says_something_else(
    observation: str, shown: str | None, stands: bool
) -> None:
    (step,) = details(steps=[Step("", "ls", observation, shown=shown)]).steps

    assert ("shown" in step) is stands


def test_what_a_command_printed_is_read_as_on_a_terminal() -> None:
    step = Step("", "make", "\x1b[32mok\x1b[0m\r\n 10%\r 20%\r\n\x1b]0;title\x07end\x07")

    (found,) = details(steps=[step]).steps

    assert found["observation"] == "ok\n 10%\n 20%\nend[U+0007]"


def test_failed_tests_stand_with_their_output_and_many_by_name_alone() -> None:
    passed = TestResult("test_ok", TestKind.FAIL_TO_PASS, True)

    tests = details(tests=(passed, *failing(MAX_NAMED_TESTS + 9))).overview["tests"]

    assert tests["counts"][1] == {
        "kind": "PASS_TO_PASS",
        "words": "tests that passed before",
        "failed": MAX_NAMED_TESTS + 9,
        "passed": 0,
    }
    assert len(tests["failed"]) == MAX_FAILED_TESTS
    assert tests["failed"][0] == {"name": "test_0", "kind": "PASS_TO_PASS", "output": "boom"}
    assert (len(tests["named"]), tests["left_out"]) == (MAX_NAMED_TESTS - MAX_FAILED_TESTS, 9)


def test_what_failed_before_stands_among_the_attempts() -> None:
    found = state(failed("a"), rolled("a", 2), grades=[graded("a", False, attempt=2)])

    attempts = details_of(EVIDENCE, ROW, found).overview["attempts"]

    said = [(row["what"], row["attempt"], row["failed"], row["ended"]) for row in attempts]
    assert said == [
        ("rollout", 1, True, "the worker was lost"),
        ("rollout", 2, False, "submitted"),
        ("grade", 2, False, "unresolved"),
    ]


def test_an_instance_without_anything_opens_too() -> None:
    nothing = Evidence("a", "repo/a", None, None)

    found = details_of(nothing, ROW, state())

    assert (found.steps, found.overview["files"], found.overview["has_patch"]) == ([], [], False)


def test_warnings_say_what_to_doubt() -> None:
    row = replace(ROW, spoofed="conftest.py prints PASSED")
    rollout = rolled("a", salvaged=True, notes=("a submodule was left out",)).record

    warnings = details(row, rollout=rollout, problems=("x.json: gone",)).overview["warnings"]

    assert warnings == [
        "Its test output is not to be believed: conftest.py prints PASSED",
        "The agent did not submit this patch: it is what it had changed when it ended.",
        "a submodule was left out",
        "x.json: gone",
    ]


def test_details_are_of_jsons_types() -> None:
    found = details(steps=[Step("\ud800", "", "")], tests=failing(2))

    text = json.dumps([found.overview, found.steps], allow_nan=False)
    assert "\\ud800" not in text


@pytest.mark.parametrize(
    ("grade", "words"),
    [
        (None, "No test was run on it."),
        (
            graded("a", True, reason=GradeReason.TESTS).record,
            "not in the run's folder any more",
        ),
        (
            graded("a", False, reason=GradeReason.TESTS).record,
            "not in the run's folder any more",
        ),
        (
            graded("a", False, reason=GradeReason.PATCH_DOES_NOT_APPLY).record,
            "No test was counted: its patch does not apply.",
        ),
    ],
)
def test_where_no_test_is_shown_it_says_why_and_no_more(
    grade: GradeRecord | None, words: str
) -> None:
    assert words in details(grade=grade).overview["tests"]["none"]


def test_a_grade_that_resolved_is_not_told_to_fail() -> None:
    found = state(rolled("a"), grades=[graded("a", True, reason=GradeReason.TESTS)])

    overview = details_of(EVIDENCE, ROW, found).overview

    assert [(row["ended"], row["detail"]) for row in overview["attempts"]] == [
        ("submitted", ""),
        ("resolved", ""),
    ]
