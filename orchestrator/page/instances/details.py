"""What an instance opens to: its patch beside the gold patch, tests, attempts and steps. Pure.

Every text here is safe to be shown as text: `orchestrator.text` has gone over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.agents.steps import Step, shorten
from orchestrator.evidence.facts import Evidence, TestKind, TestResult
from orchestrator.journal.views import RunState
from orchestrator.page.instances.diffs import beside, files_of_diff
from orchestrator.page.instances.rows import InstanceRow
from orchestrator.page.instances.step_times import StepTime, step_times
from orchestrator.report.names import FAILURE_WORDS, OUTCOME_WORDS, REASON_WORDS
from orchestrator.text import as_sentence, printed, visible
from orchestrator.types import GradeReason, GradeRecord, RolloutRecord

MAX_FAILED_TESTS = 50
"""So many are shown with their output; of the others there are names, up to the next."""
MAX_NAMED_TESTS = 500
MAX_TEST_OUTPUT_CHARS = 60_000
MAX_TEXT_CHARS = 100_000
"""Of one thought, command or observation."""

TEST_WORDS = {
    TestKind.FAIL_TO_PASS: "tests that the change should mend",
    TestKind.PASS_TO_PASS: "tests that passed before",
}

Json = dict[str, Any]


@dataclass(frozen=True)
class Details:
    """One instance in two parts, each of JSON's types. The steps are the larger part by far."""

    instance_id: str
    overview: Json
    steps: Sequence[Json]


def details_of(evidence: Evidence, row: InstanceRow, state: RunState) -> Details:
    times: Sequence[StepTime] = ()
    if (rollout := evidence.rollout) is not None:
        times = step_times(evidence.steps, rollout, state.requests_of.get(rollout.key, ()))
    return Details(
        evidence.instance_id,
        _overview(evidence, row, state),
        [_step(step, time) for step, time in zip(evidence.steps, times, strict=True)],
    )


def _overview(evidence: Evidence, row: InstanceRow, state: RunState) -> Json:
    return {
        "id": visible(row.instance_id),
        "repo": visible(row.repo),
        "verdict": row.verdict.value,
        "class": row.verdict.css_class,
        "mark": row.verdict.mark.value,
        "why": row.why,
        "because": as_sentence(visible(row.because)) if row.because else "",
        "warnings": [visible(line) for line in _warnings(evidence, row)],
        "numbers": {
            "outcome": row.outcome,
            "steps": row.steps,
            "tokens": row.tokens,
            "minutes": row.minutes,
            "attempts": row.attempts,
        },
        "files": [pair.as_dict() for pair in beside(evidence.patch, evidence.gold_patch)],
        "has_patch": bool(evidence.patch),
        "test_files": [
            {"path": file.path, "gold": file.as_dict()}
            for file in files_of_diff(evidence.gold_test_patch)
        ],
        "tests": _tests(evidence),
        "attempts": list(_attempts(row.instance_id, state)),
    }


def _warnings(evidence: Evidence, row: InstanceRow) -> Iterator[str]:
    if row.spoofed and row.spoofed != row.because:
        yield f"Its test output is not to be believed: {row.spoofed}"
    rollout = evidence.rollout
    if rollout is not None and rollout.salvaged:
        yield "The agent did not submit this patch: it is what it had changed when it ended."
    if rollout is not None:
        yield from rollout.notes
    yield from evidence.problems


def _tests(evidence: Evidence) -> Json:
    failed = [test for test in evidence.tests if not test.passed]
    shown, named = failed[:MAX_FAILED_TESTS], failed[MAX_FAILED_TESTS:MAX_NAMED_TESTS]
    return {
        "none": _why_no_test(evidence.grade),
        "counts": [
            {
                "kind": kind.value,
                "words": TEST_WORDS[kind],
                "failed": sum(not test.passed for test in tests),
                "passed": sum(test.passed for test in tests),
            }
            for kind in TestKind
            if (tests := evidence.tests_of(kind))
        ],
        "failed": [_test(test) for test in shown],
        "named": [visible(test.name) for test in named],
        "left_out": max(0, len(failed) - MAX_NAMED_TESTS),
        "output": printed(shorten(evidence.test_output, MAX_TEST_OUTPUT_CHARS)),
    }


def _why_no_test(grade: GradeRecord | None) -> str:
    """Why no test is shown, where none is."""
    if grade is None:
        return "No test was run on it."
    if grade.reason is None or grade.reason is GradeReason.TESTS:
        return "The harness's results of its tests are not in the run's folder any more."
    return f"No test was counted: {REASON_WORDS[grade.reason]}."


def _test(test: TestResult) -> Json:
    return {
        "name": visible(test.name),
        "kind": test.kind.value,
        "output": printed(test.output),
    }


def _attempts(instance_id: str, state: RunState) -> Iterator[Json]:
    """Rollouts and grades of an instance, in the order in which they were recorded."""
    for rollout in state.rollouts:
        if rollout.instance_id == instance_id:
            yield _attempt("rollout", rollout, OUTCOME_WORDS)
    for grade in state.grades:
        if grade.instance_id == instance_id:
            yield _attempt("grade", grade, REASON_WORDS)


def _attempt(what: str, row: RolloutRecord | GradeRecord, words: Any) -> Json:
    if row.failure is not None:
        ended, detail = FAILURE_WORDS[row.failure.kind], visible(row.failure.detail)
    elif isinstance(row, RolloutRecord):
        ended, detail = words[row.outcome], ""
    else:
        ended = "resolved" if row.resolved else "unresolved"
        is_told = row.resolved or row.reason is None  # nothing speaks against what is resolved
        detail = "" if is_told else words[row.reason]
    return {
        "what": what,
        "attempt": row.key.attempt,
        "failed": row.failure is not None,
        "ended": ended,
        "detail": detail,
        "seconds": round(max(0.0, row.ended_at - row.started_at), 1),
    }


def _step(step: Step, time: StepTime) -> Json:
    found: Json = {
        "thought": _text(step.thought),
        "command": _text(step.action),
        "observation": printed(shorten(step.observation, MAX_TEXT_CHARS)),
    }
    if step.shown is not None and _differs(step.shown, step.observation):
        found["shown"] = printed(shorten(step.shown, MAX_TEXT_CHARS))
    numbers = {
        "prompt_tokens": step.prompt_tokens,
        "completion_tokens": step.completion_tokens,
        "model_s": time.model_s,
        "command_s": time.command_s,
        "seconds": time.whole_s,
    }
    return found | {name: value for name, value in numbers.items() if value is not None}


def _text(text: str) -> str:
    return visible(shorten(text, MAX_TEXT_CHARS).replace("\r\n", "\n"))


def _differs(shown: str, observation: str) -> bool:
    """Whether the model saw anything else than the whole observation in a frame of words."""
    whole = observation.strip()
    return not whole or whole not in shown
