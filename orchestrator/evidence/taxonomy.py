"""Why an instance was not resolved, from its evidence: rules in order, the first that holds. Pure.

docs/taxonomy.md explains each with an example, and says what it can't tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import one_line
from orchestrator.evidence.case import UNUSABLE_SHARE, EvidenceCase
from orchestrator.evidence.facts import Cause, Evidence, Finding, TestKind
from orchestrator.text import printable
from orchestrator.types import GradeReason, Outcome

MAX_CHARS = 600
"""Of what a finding says: names of files and of tests are as long as people make them."""

if TYPE_CHECKING:
    from orchestrator.evidence.read import EvidenceReader


@dataclass(frozen=True)
class Rule:
    """One cause, and how evidence shows it."""

    cause: Cause
    words: str
    """For people, in a table or beside a bar."""
    explanation: str
    """In one sentence, for who asks what it means."""
    shows: Callable[[EvidenceCase], str]
    """The evidence in one line; empty where the rule does not hold. It is asked of instances
    alone that a verdict says are not resolved, and after the rules before it."""


def find(evidence: Evidence) -> Finding:
    """What the evidence comes to. An instance without a verdict has no cause."""
    case = EvidenceCase(evidence)
    cause, because = None, ""
    if case.is_unresolved:
        cause, because = next((rule.cause, line) for rule in RULES if (line := rule.shows(case)))
    spoofed = one_line(printable(case.spoofed), MAX_CHARS)
    because = one_line(printable(because), MAX_CHARS)
    facts, problems = case.facts, evidence.problems
    return Finding(evidence.instance_id, cause, because, facts, spoofed, problems)


def findings_of(reader: EvidenceReader) -> dict[str, Finding]:
    """Of every instance of a run, in its order. One instance at a time is in memory."""
    return {evidence.instance_id: find(evidence) for evidence in reader.read_all()}


def _format(case: EvidenceCase) -> str:
    unusable, answers = case.unusable
    is_most = not case.is_submitted and answers and unusable >= UNUSABLE_SHARE * answers
    if case.outcome is not Outcome.FORMAT_ERRORS and not is_most:
        return ""
    return f"{unusable} of {answers} answers held no action that could be used"


def _looped(case: EvidenceCase) -> str:
    return "" if case.is_submitted else case.loop


def _out_of_context(case: EvidenceCase) -> str:
    if case.outcome is not Outcome.CONTEXT_OVERFLOW:
        return ""
    return f"its conversation was too long for the model after {_steps(case)}"


def _timed_out(case: EvidenceCase) -> str:
    if case.outcome is not Outcome.TIME_LIMIT:
        return ""
    rollout = case.evidence.rollout
    assert rollout is not None
    seconds = rollout.phases_s.get("agent", rollout.ended_at - rollout.started_at)
    took = f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
    return f"its time was over after {took} and {_steps(case)}"


def _exploring(case: EvidenceCase) -> str:
    if case.outcome not in (Outcome.STEP_LIMIT, Outcome.TOKEN_LIMIT) or case.has_source_edit:
        return ""
    done = "no file" if not case.has_edit else f"only {_names(case)}"
    return f"it ended as {case.outcome} after {_steps(case)}, and had changed {done}"


def _never_submitted(case: EvidenceCase) -> str:
    if not case.has_edit or case.is_submitted:
        return ""
    return f"it changed {_names(case)}, and ended as {case.outcome} after {_steps(case)}"


def _no_edit(case: EvidenceCase) -> str:
    if case.has_edit:
        return ""
    rollout = case.evidence.rollout
    if rollout is None or not rollout.usage.steps:  # such as a prediction that was made elsewhere
        return "its patch is empty, and no step of it is on record"
    return f"it ended as {case.outcome} after {_steps(case)} and changed nothing"


def _does_not_apply(case: EvidenceCase) -> str:
    if case.reason is not GradeReason.PATCH_DOES_NOT_APPLY:
        return ""
    return f"the harness could not apply its changes of {_names(case)}"


def _spoofed(case: EvidenceCase) -> str:
    return case.rejected and case.spoofed


def _tests_only(case: EvidenceCase) -> str:
    return "" if case.has_source_edit else f"it changed {_names(case)} and nothing else"


def _tests_too_long(case: EvidenceCase) -> str:
    if case.reason is not GradeReason.TESTS_TIMED_OUT:
        return ""
    return "with its patch, the tests did not end in time"


def _tests_did_not_run(case: EvidenceCase) -> str:
    if case.reason is not GradeReason.NO_TEST_RESULTS:
        return ""
    return "with its patch, no test gave a result"


def _broke_tests(case: EvidenceCase) -> str:
    broken = case.failing(TestKind.PASS_TO_PASS)
    if not broken:
        return ""
    number = case.number(TestKind.PASS_TO_PASS)
    return f"{len(broken)} of {number} tests that passed before fail, such as {broken[0].name}"


def _wrong_file(case: EvidenceCase) -> str:
    if not case.gold_files or not case.files or case.gold_files_edited:
        return ""
    if not _no_target_passes(case):
        return ""
    return f"it changed {_names(case)}; the gold patch changes {_listed(sorted(case.gold_files))}"


def _right_file(case: EvidenceCase) -> str:
    if not case.gold_files_edited or not _no_target_passes(case):
        return ""
    of = f" of the gold patch's {len(case.gold_files)} files" if len(case.gold_files) > 1 else ""
    number = case.number(TestKind.FAIL_TO_PASS)
    tests = (
        "its FAIL_TO_PASS test fails" if number == 1 else f"all {number} FAIL_TO_PASS tests fail"
    )
    names = _listed(case.gold_files_edited)
    return f"it changed {names}{of}, as the gold patch does; {tests} still"


def _still_failing(case: EvidenceCase) -> str:
    failing = case.failing(TestKind.FAIL_TO_PASS)
    if not failing:
        return ""
    number = case.number(TestKind.FAIL_TO_PASS)
    return f"{len(failing)} of {number} FAIL_TO_PASS tests fail still, such as {failing[0].name}"


def _unexplained(case: EvidenceCase) -> str:
    problems = case.evidence.problems
    return problems[0] if problems else "its files name no test that failed"


def _no_target_passes(case: EvidenceCase) -> bool:
    """Whether tests were counted, and none passes of those that should now."""
    failing = len(case.failing(TestKind.FAIL_TO_PASS))
    return 0 < failing == case.number(TestKind.FAIL_TO_PASS)


def _steps(case: EvidenceCase) -> str:
    rollout = case.evidence.rollout
    steps = rollout.usage.steps if rollout else 0
    return f"{steps} step{'' if steps == 1 else 's'}"


def _names(case: EvidenceCase) -> str:
    return _listed([file.path for file in case.files]) if case.files else "files"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    """At most three names, and how many there are beside."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


RULES: tuple[Rule, ...] = (
    Rule(
        Cause.FORMAT,
        "answers could not be used",
        "The rollout ended because too many answers held no action in the form that the agent "
        "asked for.",
        _format,
    ),
    Rule(
        Cause.LOOPED,
        "went in circles",
        "The agent gave the same commands, with the same output, until a limit ended the rollout.",
        _looped,
    ),
    Rule(
        Cause.CONTEXT,
        "out of context",
        "The conversation grew too long for the model's context before anything was submitted.",
        _out_of_context,
    ),
    Rule(
        Cause.TIMED_OUT,
        "out of time",
        "The rollout met its time limit before anything was submitted.",
        _timed_out,
    ),
    Rule(
        Cause.EXPLORING,
        "out of steps while exploring",
        "The rollout met its limit of steps or tokens before any source file was changed.",
        _exploring,
    ),
    Rule(
        Cause.NOT_SUBMITTED,
        "edited, never submitted",
        "Source files were changed, and the rollout ended before the agent submitted; what lay "
        "there was graded, and did not resolve the issue.",
        _never_submitted,
    ),
    Rule(
        Cause.NO_EDIT,
        "edited nothing",
        "The agent ended its work, or gave up, without a change to any file.",
        _no_edit,
    ),
    Rule(
        Cause.DOES_NOT_APPLY,
        "patch does not apply",
        "The harness could not apply the patch to the repository.",
        _does_not_apply,
    ),
    Rule(
        Cause.SPOOFED,
        "claims to have passed",
        "The test output reports passed tests and no failure, and the test command failed: the "
        "harness takes such an output for one that the patch has written itself.",
        _spoofed,
    ),
    Rule(
        Cause.TESTS_ONLY,
        "edited tests only",
        "Every changed file is a test, or a new script that shows the issue.",
        _tests_only,
    ),
    Rule(
        Cause.TESTS_TOO_LONG,
        "tests ran too long",
        "With the patch applied, the tests ran past the harness's time limit.",
        _tests_too_long,
    ),
    Rule(
        Cause.TESTS_DID_NOT_RUN,
        "tests did not run",
        "With the patch applied, the tests ended without a result for any test.",
        _tests_did_not_run,
    ),
    Rule(
        Cause.BROKE_TESTS,
        "broke passing tests",
        "Tests that passed before the patch fail with it.",
        _broke_tests,
    ),
    Rule(
        Cause.WRONG_FILE,
        "wrong file",
        "No file of the gold patch was changed, and no FAIL_TO_PASS test passes.",
        _wrong_file,
    ),
    Rule(
        Cause.RIGHT_FILE,
        "right file, wrong change",
        "A file of the gold patch was changed, and no FAIL_TO_PASS test passes.",
        _right_file,
    ),
    Rule(
        Cause.STILL_FAILING,
        "tests to be mended still fail",
        "FAIL_TO_PASS tests fail still: others of them pass, or the gold patch is not known.",
        _still_failing,
    ),
    Rule(
        Cause.UNEXPLAINED,
        "unexplained",
        "The verdict stands, and the files that would say why are gone or can't be read.",
        _unexplained,
    ),
)
"""In their order: how the agent's work ended, then what it submitted."""
