"""What is known of one instance when a run is looked at afterwards, as frozen values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.agents.steps import Step
from orchestrator.types import GradeRecord, RolloutRecord


class TestKind(StrEnum):
    """The two lists of tests of a benchmark's row."""

    __test__ = False  # no test class of pytest's

    FAIL_TO_PASS = "FAIL_TO_PASS"
    PASS_TO_PASS = "PASS_TO_PASS"


@dataclass(frozen=True)
class TestResult:
    """One test as the harness counted it."""

    __test__ = False

    name: str
    kind: TestKind
    passed: bool
    output: str = ""
    """What the tests printed about it, cut; empty where it passed or nothing was found."""


@dataclass(frozen=True)
class Evidence:
    """One instance of a run: the rollout and the verdict that count, and what their files hold.

    Every text is what the files say, read as UTF-8 with replacements.
    """

    instance_id: str
    repo: str
    rollout: RolloutRecord | None
    """The rollout that counts; None where there is no outcome."""
    grade: GradeRecord | None
    """The verdict on its patch."""
    patch: str = ""
    gold_patch: str = ""
    gold_test_patch: str = ""
    tests: tuple[TestResult, ...] = ()
    """Empty where the harness has counted none."""
    test_output: str = ""
    """All that the tests printed, cut in the middle."""
    steps: Sequence[Step] = ()
    problems: tuple[str, ...] = ()
    """Files that should be there and can't be read, one line each."""

    def tests_of(self, kind: TestKind) -> tuple[TestResult, ...]:
        return tuple(test for test in self.tests if test.kind is kind)


class Cause(StrEnum):
    """Why an instance was not resolved: one of them each, the first rule of `taxonomy` that holds.

    Infrastructure is never among them: what failed has no verdict, and no cause.
    """

    # how the agent's work ended
    FORMAT = "format"
    LOOPED = "looped"
    CONTEXT = "out_of_context"
    TIMED_OUT = "timed_out"
    EXPLORING = "out_of_steps_while_exploring"
    NOT_SUBMITTED = "edit_never_submitted"
    NO_EDIT = "no_edit"
    # what it submitted
    DOES_NOT_APPLY = "patch_does_not_apply"
    SPOOFED = "claims_to_have_passed"
    TESTS_ONLY = "edits_only_tests"
    TESTS_TOO_LONG = "tests_ran_too_long"
    TESTS_DID_NOT_RUN = "tests_did_not_run"
    BROKE_TESTS = "broke_passing_tests"
    WRONG_FILE = "wrong_file"
    RIGHT_FILE = "right_file_wrong_change"
    STILL_FAILING = "fail_to_pass_still_failing"
    UNEXPLAINED = "unexplained"
    """Its files are gone: the verdict stands, and nothing says why."""


@dataclass(frozen=True)
class Finding:
    """What the evidence of one instance comes to."""

    instance_id: str
    cause: Cause | None = None
    """None where it was resolved, or has no verdict."""
    because: str = ""
    """The evidence for the cause in one line, such as `2 of 3 FAIL_TO_PASS tests fail still`."""
    facts: Mapping[str, bool | int | str] = field(default_factory=dict)
    """What else holds of it, by name: such as {"looped": True, "gold_files_edited": 1}."""
    spoofed: str = ""
    """Why its test output is not to be believed; empty where nothing was found."""
    problems: tuple[str, ...] = ()
    """Files that should be there and can't be read, one line each."""
