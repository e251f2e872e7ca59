"""What a person does next depends on how the run ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.rows import failed, graded, rolled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report, build_report
from orchestrator.report.names import FAILURE_WORDS
from orchestrator.report.next_steps import MEND, NOTHING_TO_MEND, next_steps
from orchestrator.report.validity import Validity
from orchestrator.types import FailureKind

CONFIG = load_config(RunRequest("demo", run_id="r1"))
PATHS = RunPaths(Path("runs/my night"))
ALL = {"a": True, "b": False, "c": True}
DONE = state(*(rolled(i) for i in ALL), grades=[graded(i, ok) for i, ok in ALL.items()])
SUSPECT = Validity(is_valid=False, is_quarantined=True, reasons=("odd",))


def report(seen: Any = DONE, **changes: Any) -> Report:
    return replace(build_report(CONFIG, seen, {}), **changes)


def steps(of: Report) -> list[tuple[str, str]]:
    return [(step.verb, step.text) for step in next_steps(of, PATHS)]


READ = ("read", "runs/my night/report.html")
GO_ON = ("go on", "python -m orchestrator resume 'runs/my night'")


def test_a_valid_run_is_read_compared_and_exported() -> None:
    assert steps(report()) == [
        READ,
        ("compare", "python -m orchestrator compare 'runs/my night' OTHER_RUN"),
        ("export", "python -m orchestrator export 'runs/my night' submission"),
    ]


@pytest.mark.parametrize("agent", ["gold", "nop"])
def test_a_control_is_compared_with_nothing(agent: str) -> None:
    assert steps(report(agent=agent, model=None)) == [READ]


def test_a_quarantined_run_is_looked_into_and_never_resumed() -> None:
    verbs = [verb for verb, _ in steps(report(validity=SUSPECT))]

    assert verbs == ["read", "check", "run anew"]


@pytest.mark.parametrize(
    "failures", [{"not_started": 3}, {"interrupted": 1, "not_started": 8}, {"not_graded": 1}]
)
def test_an_interrupted_run_goes_on(failures: dict[str, int]) -> None:
    assert steps(report(failures=failures, failure_ids=("a",))) == [GO_ON, READ]


def test_what_failed_is_mended_before_the_run_goes_on() -> None:
    seen = state(rolled("a"), failed("b", kind=FailureKind.ENDPOINT_UNAVAILABLE), failed("c"))

    assert steps(report(seen))[:4] == [
        ("mend", "the model's server was away (1 x): start it again"),
        (
            "mend",
            "the worker was lost (1 x): free memory or disk, or go on with fewer --workers",
        ),
        ("check", "python -m orchestrator doctor demo --model scripted"),
        GO_ON,
    ]


def test_of_many_kinds_of_failures_those_are_named_that_are_most() -> None:
    kinds = [kind for kind in FailureKind if kind is not FailureKind.INTERRUPTED]
    failures = {str(kind): n for n, kind in enumerate(kinds, 1)}
    found = steps(report(failures=failures, failure_ids=("a",)))

    mend = [text for verb, text in found if verb == "mend"]
    assert len(mend) == 3
    assert mend[0].startswith("a bug of this program (11 x): please report it")
    assert mend[-1] == "45 failures of other kinds: see the report"
    assert len(found) <= 6


def test_what_is_set_aside_waits_for_a_decision() -> None:
    found = steps(report(failures={"worker_lost": 1}, failure_ids=("a",), set_aside_ids=("a",)))

    decide = "python -m orchestrator decide 'runs/my night'"
    assert found == [
        READ,
        ("redo", f"{decide} --again --because WHY"),
        ("or count", f"{decide} --unresolved --because WHY"),
    ]


@pytest.mark.parametrize(
    ("failures", "goes_on"),
    [({"no_prediction": 2}, False), ({"no_prediction": 2, "worker_lost": 1}, True)],
)
def test_predictions_that_nobody_gave_are_nothing_to_go_on_with(
    failures: dict[str, int], goes_on: bool
) -> None:
    found = steps(report(failures=failures, failure_ids=("a", "b")))

    assert (GO_ON in found) == goes_on


def test_every_failure_has_a_cure_or_needs_none() -> None:
    assert set(MEND) == set(FAILURE_WORDS) - NOTHING_TO_MEND
