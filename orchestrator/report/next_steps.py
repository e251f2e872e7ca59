"""What a person does next, which depends on how the run stands. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from orchestrator.paths import RunPaths
from orchestrator.report.build import Report
from orchestrator.report.names import (
    FAILURE_WORDS,
    NO_PREDICTION,
    NOT_GRADED,
    NOT_STARTED,
)
from orchestrator.report.words import counted
from orchestrator.types import FailureKind

CONTROLS = ("gold", "nop")
"""Agents that say how well a benchmark works; there is nothing to compare them with."""
NOTHING_TO_MEND = frozenset({NOT_STARTED, NOT_GRADED, FailureKind.INTERRUPTED})
MEND: Mapping[str, str] = {
    FailureKind.ENDPOINT_UNAVAILABLE: "start it again",
    FailureKind.REQUEST_REFUSED: "gateway.log has what it said",
    FailureKind.SANDBOX_UNAVAILABLE: "see that the engine answers",
    FailureKind.SANDBOX_BROKEN: "nothing, the next is a new one",
    FailureKind.IMAGE_UNAVAILABLE: "see that its registry answers, and takes your login",
    FailureKind.WORKER_LOST: "free memory or disk, or go on with fewer --workers",
    FailureKind.SHARED_WORKER_LOST: "free memory, or go on with fewer --workers",
    FailureKind.HARNESS_UNAVAILABLE: "go on with --set cluster.grading.memory_gb=MORE",
    FailureKind.TESTS_TOO_SLOW: "go on with --set cluster.grading.emulated_timeout_s=MORE",
    FailureKind.AGENT_CRASHED: "see the traceback in the rollout's folder",
    FailureKind.INTERNAL_ERROR: "please report it with the traceback in the rollout's folder",
    NO_PREDICTION: "nothing to do: there was none in the file",
}
"""What comes before `resume`, by what failed."""
LOOKED_AT_BY_DOCTOR = frozenset(
    {
        FailureKind.ENDPOINT_UNAVAILABLE,
        FailureKind.REQUEST_REFUSED,
        FailureKind.SANDBOX_UNAVAILABLE,
        FailureKind.IMAGE_UNAVAILABLE,
        FailureKind.WORKER_LOST,
        FailureKind.SHARED_WORKER_LOST,
    }
)
KINDS_SHOWN = 2


@dataclass(frozen=True)
class NextStep:
    """One step: a verb, and either what to type or words on it."""

    verb: str
    text: str
    is_command: bool = False


class RunStanding(Enum):
    """How a run stands, as far as it matters for what comes next."""

    VALID = auto()
    QUARANTINED = auto()
    """Every instance has a verdict, and something speaks against the number."""
    STOPPED = auto()
    """Nothing failed; some is still to be done."""
    FAILURES_LEFT = auto()
    SET_ASIDE = auto()
    """All that is left has failed so often that a person has to decide."""
    NO_PREDICTIONS = auto()
    """All that is left was not in the file of predictions."""


def standing_of(report: Report) -> RunStanding:
    left = set(report.failures)
    if not left:
        return RunStanding.VALID if report.validity.is_valid else RunStanding.QUARANTINED
    if left == {NO_PREDICTION}:
        return RunStanding.NO_PREDICTIONS
    if set(report.failure_ids) <= set(report.set_aside_ids):
        return RunStanding.SET_ASIDE
    return RunStanding.STOPPED if left <= NOTHING_TO_MEND else RunStanding.FAILURES_LEFT


def next_steps(report: Report, paths: RunPaths, *, is_live: bool = False) -> tuple[NextStep, ...]:
    """In the order in which they are taken; `paths` are as a person would type them. A run that
    `is_live` goes on by itself."""
    if is_live:
        return (
            NextStep("wait", "it is still running, and these are its numbers so far"),
            command_step("watch", f"status {_run(paths)}"),
            _read(paths),
        )
    return tuple(_STEPS[standing_of(report)](report, paths))


def _when_valid(report: Report, paths: RunPaths) -> Iterator[NextStep]:
    yield _read(paths)
    if report.agent in CONTROLS:
        return
    yield command_step("compare", f"compare {_run(paths)} OTHER_RUN")
    yield command_step("export", f"export {_run(paths)} submission")


def _when_quarantined(report: Report, paths: RunPaths) -> Iterator[NextStep]:
    yield _read(paths)
    yield _doctor(report)
    yield NextStep("run anew", "when it is mended: `resume` measures nothing twice")


def _when_stopped(report: Report, paths: RunPaths) -> Iterator[NextStep]:
    yield _resume(paths)
    yield _read(paths)


def _when_failures_are_left(report: Report, paths: RunPaths) -> Iterator[NextStep]:
    failed = {kind: n for kind, n in report.failures.items() if kind not in NOTHING_TO_MEND}
    by_number = sorted(failed, key=lambda kind: -failed[kind])
    for kind in by_number[:KINDS_SHOWN]:
        yield NextStep("mend", f"{FAILURE_WORDS[kind]} ({failed[kind]:,} x): {MEND[kind]}")
    if rest := sum(failed[kind] for kind in by_number[KINDS_SHOWN:]):
        yield NextStep("mend", f"{counted(rest, 'failure')} of other kinds: see the report")
    if LOOKED_AT_BY_DOCTOR.intersection(failed):
        yield _doctor(report)
    yield _resume(paths)
    yield _read(paths)


def _when_set_aside(report: Report, paths: RunPaths) -> Iterator[NextStep]:
    yield _read(paths)
    yield command_step("redo", f"decide {_run(paths)} --again --because WHY")
    yield command_step("or count", f"decide {_run(paths)} --unresolved --because WHY")


def _when_predictions_are_missing(report: Report, paths: RunPaths) -> Iterator[NextStep]:
    yield _read(paths)
    yield NextStep("grade", "a file that has them all, as a run of its own")


_STEPS: Mapping[RunStanding, Callable[[Report, RunPaths], Iterator[NextStep]]] = {
    RunStanding.VALID: _when_valid,
    RunStanding.QUARANTINED: _when_quarantined,
    RunStanding.STOPPED: _when_stopped,
    RunStanding.FAILURES_LEFT: _when_failures_are_left,
    RunStanding.SET_ASIDE: _when_set_aside,
    RunStanding.NO_PREDICTIONS: _when_predictions_are_missing,
}


def _read(paths: RunPaths) -> NextStep:
    return NextStep("read", str(paths.report_html), is_command=True)


def _resume(paths: RunPaths) -> NextStep:
    return command_step("go on", f"resume {_run(paths)}")


def _doctor(report: Report) -> NextStep:
    model = f" --model {shlex.quote(report.model)}" if report.model else ""
    return command_step("check", f"doctor {shlex.quote(report.benchmark)}{model}")


def command_step(verb: str, command: str) -> NextStep:
    """One to be typed, such as `resume RUN`."""
    return NextStep(verb, f"python -m orchestrator {command}", is_command=True)


def _run(paths: RunPaths) -> str:
    return shlex.quote(str(paths.root))
