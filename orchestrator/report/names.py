"""How instances came out, in the words, the shape and the colour that people see. Pure.

Files and commands hold the identifiers; wherever a person reads one, its words stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from orchestrator.evidence.taxonomy import RULES
from orchestrator.types import FailureKind, GradeReason, Outcome

NO_PREDICTION = "no_prediction"
NOT_GRADED = "not_graded"
NOT_STARTED = "not_started"

OUTCOME_WORDS: Mapping[str, str] = {
    Outcome.SUBMITTED: "submitted",
    Outcome.STEP_LIMIT: "out of steps",
    Outcome.TOKEN_LIMIT: "out of tokens",
    Outcome.TIME_LIMIT: "out of time",
    Outcome.CONTEXT_OVERFLOW: "out of context",
    Outcome.FORMAT_ERRORS: "unusable answers",
    Outcome.GAVE_UP: "gave up",
}

FAILURE_WORDS: Mapping[str, str] = {
    FailureKind.ENDPOINT_UNAVAILABLE: "the model's server was away",
    FailureKind.REQUEST_REFUSED: "the model's server refused",
    FailureKind.SANDBOX_UNAVAILABLE: "no sandbox",
    FailureKind.SANDBOX_BROKEN: "its sandbox broke",
    FailureKind.IMAGE_UNAVAILABLE: "no image",
    FailureKind.WORKER_LOST: "the worker was lost",
    FailureKind.SHARED_WORKER_LOST: "the shared worker was lost",
    FailureKind.HARNESS_UNAVAILABLE: "the harness could not grade",
    FailureKind.TESTS_TOO_SLOW: "emulated tests were too slow",
    FailureKind.AGENT_CRASHED: "the agent crashed",
    FailureKind.INTERRUPTED: "interrupted",
    FailureKind.INTERNAL_ERROR: "a bug of this program",
    NOT_STARTED: "not started",
    NOT_GRADED: "not graded",
    NO_PREDICTION: "no prediction was given",
}
"""All that keeps an instance from a verdict: the keys of `Report.failures`."""

REASON_WORDS: Mapping[str, str] = {
    GradeReason.TESTS: "its tests fail",
    GradeReason.PATCH_DOES_NOT_APPLY: "its patch does not apply",
    GradeReason.TESTS_TIMED_OUT: "its tests ran too long",
    GradeReason.NO_TEST_RESULTS: "its tests gave no results",
}
"""What a verdict of unresolved rests on."""

CAUSE_WORDS: Mapping[str, str] = {rule.cause: rule.words for rule in RULES}
"""As the end of `the agent ...` or `the patch ...`."""

_WORDS = {**CAUSE_WORDS, **OUTCOME_WORDS, **FAILURE_WORDS, **REASON_WORDS}


class Mark(StrEnum):
    """How an instance came out: a shape, so that no colour is needed to tell them apart."""

    RESOLVED = "✓"
    UNRESOLVED = "✗"
    NO_VERDICT = "?"
    """It failed, or is not graded: never a zero."""
    NOT_STARTED = "·"


STYLES: Mapping[str, str] = {
    Mark.RESOLVED: "green",
    Mark.UNRESOLVED: "red",
    Mark.NO_VERDICT: "yellow",
    Mark.NOT_STARTED: "dim",
}
"""Of each mark on a terminal: its own colours, which are readable on dark and on light ones."""


FILLS: Mapping[str, str] = {Mark.RESOLVED: "█", Mark.UNRESOLVED: "▒", Mark.NO_VERDICT: "╱"}
"""Of each mark's part of a bar."""


def what_ran(benchmark: str, agent: str, model: str | None) -> str:
    """`benchmark lite, agent mini, model qwen`: no name without what it is the name of."""
    of_model = f", model {model}" if model else ""
    return f"benchmark {benchmark}, agent {agent}{of_model}"


def named(identifier: str) -> str:
    """`out of steps (step_limit)`: the words of an outcome, a failure, a cause or a reason, and
    what files call it; once where both are the same.

    Raises KeyError where it is none of them.
    """
    words = _WORDS[identifier]
    return words if words == identifier.replace("_", " ") else f"{words} ({identifier})"
