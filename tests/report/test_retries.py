"""How many rollouts and grades were redone, and why, as a report tells it."""

from __future__ import annotations

import pytest
from support.rows import failed, graded, rolled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.report.build import build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.report.retries import Retries, retries_of
from orchestrator.types import FailureKind

LOST, NO_IMAGE = FailureKind.WORKER_LOST, FailureKind.IMAGE_UNAVAILABLE


@pytest.mark.parametrize(
    ("seen", "redone"),
    [
        (state(), Retries({}, {})),
        (state(rolled("a"), failed("b")), Retries({}, {})),  # left, and not redone
        (
            state(failed("a", 1, NO_IMAGE), failed("a", 2), failed("a", 3), rolled("a", 4)),
            Retries({LOST: 2, NO_IMAGE: 1}, {}),
        ),
        (state(failed("a", 1), failed("a", 2)), Retries({LOST: 1}, {})),
        (
            state(rolled("a"), grades=[graded("a", None), graded("a", None), graded("a", False)]),
            Retries({}, {LOST: 2}),
        ),
        # another patch in its place: that is no retry
        (
            state(rolled("a"), grades=[graded("a", None, "before"), graded("a", True)]),
            Retries({}, {}),
        ),
        (state(rolled("a"), grades=[graded("a", False, "x"), graded("a", True)]), Retries({}, {})),
    ],
)
def test_retries_are_counted_by_the_failure_before(seen: RunState, redone: Retries) -> None:
    assert retries_of(seen) == redone


def test_a_report_says_how_many_were_redone_after_what() -> None:
    config = load_config(RunRequest("demo", run_id="r1"))
    seen = state(
        failed("a", 1, NO_IMAGE),
        failed("a", 2),
        rolled("a", 3),
        grades=[graded("a", None, attempt=3), graded("a", True, attempt=3)],
        ids=("a",),
    )
    found = build_report(config, seen, {})

    assert found.as_dict()["retries"] == {
        "rollouts": {"image_unavailable": 1, "worker_lost": 1},
        "grades": {"worker_lost": 1},
    }
    assert (
        "| redone after failures | 2 rollouts (no image: 1, the worker was lost: 1), "
        "1 grade (the worker was lost: 1) |"
    ) in render_markdown(found, seen)
    nothing = build_report(config, state(), {})
    assert "| redone after failures | nothing |" in render_markdown(nothing, state())
