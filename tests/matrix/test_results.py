"""What came of instances, cells and the whole matrix, as numbers and in words."""

from __future__ import annotations

import pytest
from support.matrices import (
    EMPTY,
    EVENING,
    FAILED,
    NOT_GRADED,
    NOT_STARTED,
    RESOLVED,
    SALVAGED,
    UNRESOLVED,
    Played,
    Table,
)

from orchestrator.matrix.results import InstanceResult, Mark, RunResult, build_cells, wall_s
from orchestrator.matrix.words import of_cell, of_instance
from orchestrator.report.stats import clustered_wilson, wilson
from orchestrator.types import CallCounts, Outcome


def result_of(played: Played) -> InstanceResult:
    table = Table()
    table.add("m", "a", [played])
    (result,) = table.runs[0].instances.values()
    return result


@pytest.mark.parametrize(
    ("played", "words"),
    [
        (EVENING["gemma", "openhands"], "✗ 41 of 52 calls broken, out of steps"),
        (EVENING["gemma", "sweagent"], "✓ 9 steps"),
        (EVENING["qwen", "openhands"], "✓ 9 steps, 1 of 9 calls broken"),
        (EVENING["qwen", "sweagent"], "✓ ⚠ salvaged: never submitted"),
        (UNRESOLVED, "✗ 9 steps"),
        (Played(steps=1), "✓ 1 step"),
        (FAILED, "? the worker was lost (worker_lost)"),
        (NOT_STARTED, "· not started"),
        (NOT_GRADED, "? not graded"),
        (EMPTY, "✗ gave up"),
        (Played(unusable=3), "✓ 9 steps, 3 of 9 answers unusable"),
        (
            Played(False, Outcome.FORMAT_ERRORS, steps=4, unusable=4),
            "✗ 4 of 4 answers unusable",
        ),
        (Played(False, Outcome.TIME_LIMIT), "✗ out of time"),
        (Played(False, Outcome.TOKEN_LIMIT), "✗ out of tokens"),
        (Played(False, Outcome.CONTEXT_OVERFLOW), "✗ out of context"),
        # functions were offered: what is no call is counted there, and not once more
        (Played(calls=CallCounts(9, {}), unusable=2), "✓ 9 steps"),
    ],
)
def test_an_instance_is_told_in_a_few_words(played: Played, words: str) -> None:
    assert str(of_instance(result_of(played))) == words


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_words_resolved_or_not(outcome: Outcome) -> None:
    for resolved in (True, False):
        assert of_instance(InstanceResult(resolved, outcome, steps=3)).lines[0]


def test_a_cell_counts_what_its_run_reports() -> None:
    table = Table()
    calls = CallCounts(10, {"unknown tool": 2, "missing parameters": 1})
    table.add(
        "m", "a", [RESOLVED, SALVAGED, UNRESOLVED, EMPTY, Played(steps=21, calls=calls), RESOLVED]
    )
    (cell,) = build_cells(table.runs)

    assert (cell.instances, cell.resolved, cell.rate) == (6, 4, pytest.approx(4 / 6))
    assert cell.ci95 == pytest.approx(wilson(4, 6))
    assert (cell.valid, cell.why_not_valid, cell.salvaged) == (True, "", 1)
    assert (cell.calls, cell.broken_calls) == (10, 3)
    assert cell.call_problems == {"unknown tool": 2, "missing parameters": 1}
    assert cell.trouble == (3, 10, "calls broken")
    assert (cell.median_steps, cell.answers, cell.tokens) == (9, 66, 600)
    assert cell.rollout_hours == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("played", "why"),
    [
        ([RESOLVED, FAILED], "1 without a verdict: 1 x the worker was lost (worker_lost)"),
        (
            [FAILED, FAILED, NOT_STARTED, NOT_GRADED],
            "4 without a verdict: 2 x the worker was lost (worker_lost), 1 x not graded, "
            "1 x not started",
        ),
        (None, "its model stayed away"),
    ],
)
def test_what_has_no_verdict_is_no_zero_and_the_cell_says_that_it_is_not_valid(
    played: list[Played] | None, why: str
) -> None:
    table = Table()
    table.add("m", "a", played, problem="its model stayed away")
    (cell,) = build_cells(table.runs)

    assert (cell.valid, cell.why_not_valid) == (False, why)


@pytest.mark.parametrize(("empty", "is_told"), [(6, True), (3, False)])
def test_a_cell_says_that_its_number_is_quarantined(empty: int, is_told: bool) -> None:
    table = Table()
    table.add("m", "a", [EMPTY] * empty + [UNRESOLVED] * 3)
    (cell,) = build_cells(table.runs)
    results = list(table.runs[0].instances.values())

    assert cell.valid, "each has a verdict, and there is nothing to resume"
    assert bool(cell.quarantined) is is_told
    told = "quarantined: 6 of 9 rollouts ended without a patch"
    assert (told in str(of_cell(cell, results))) is is_told


def test_a_run_that_never_started_is_told_as_that() -> None:
    table = Table()
    table.add("m", "a", None)
    (cell,) = build_cells(table.runs)

    assert (cell.why_not_valid, cell.instances, cell.ci95) == ("not started", 0, (0, 1))
    assert str(of_cell(cell, [])) == "· not started"


def test_the_rate_over_attempts_is_their_mean_and_its_interval_goes_by_instance() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED, RESOLVED, UNRESOLVED, UNRESOLVED], attempt=1)
    table.add("m", "a", [RESOLVED, UNRESOLVED, RESOLVED, UNRESOLVED], attempt=2)
    (cell,) = build_cells(table.runs)

    assert (cell.attempts, cell.instances, cell.resolved, cell.rate) == (2, 4, 4, 0.5)
    assert cell.ci95 == pytest.approx(clustered_wilson([1, 0.5, 0.5, 0], 2))
    assert cell.run_ids == ("m.m.a.1", "m.m.a.2")


def test_a_rate_over_attempts_is_valid_only_if_all_of_them_are() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED, RESOLVED], attempt=1)
    table.add("m", "a", [RESOLVED, FAILED], attempt=2)
    table.add("m", "a", None, attempt=3)
    (cell,) = build_cells(table.runs)

    assert not cell.valid
    assert (
        cell.why_not_valid
        == "1 without a verdict: 1 x the worker was lost (worker_lost); not started"
    )
    assert cell.rate == pytest.approx(3 / 6), "all of them are the denominator"


def test_one_instance_has_a_mark_only_where_all_attempts_are_there() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED], attempt=1)
    table.add("m", "a", None, attempt=2)
    (cell,) = build_cells(table.runs)
    words = of_cell(cell, list(table.runs[0].instances.values()))

    assert words.mark is None
    assert words.lines[1:] == ("1/2 resolved", "⚠ not started")


def test_many_instances_are_a_rate_with_warnings() -> None:
    table = Table()
    calls = CallCounts(50, {"malformed": 10})
    table.add("m", "a", [Played(calls=calls), SALVAGED, UNRESOLVED, FAILED])
    (cell,) = build_cells(table.runs)
    words = of_cell(cell, list(table.runs[0].instances.values()))

    assert words.lines == (
        "50% (15% to 85%)",
        "2/4 resolved",
        "⚠ 1 without a verdict: 1 x the worker was lost (worker_lost)",
        "⚠ 1 salvaged",
        "⚠ 20% of calls broken",
    )
    assert (words.mark, words.is_warning) == (None, True)


def test_a_few_broken_calls_of_many_are_no_warning() -> None:
    table = Table()
    table.add("m", "a", [Played(calls=CallCounts(100, {"malformed": 1}))] * 2)
    (cell,) = build_cells(table.runs)

    assert not of_cell(cell, list(table.runs[0].instances.values())).is_warning


def test_the_clock_of_a_matrix_counts_what_went_on_at_once_once() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED])
    table.add("m", "b", [RESOLVED])
    table.add("m", "c", None)

    assert wall_s(table.runs) == 3600


@pytest.mark.parametrize(
    ("played", "mark"),
    [
        (RESOLVED, Mark.RESOLVED),
        (UNRESOLVED, Mark.UNRESOLVED),
        (EMPTY, Mark.UNRESOLVED),
        (FAILED, Mark.NO_VERDICT),
        (NOT_GRADED, Mark.NO_VERDICT),
        (NOT_STARTED, Mark.NOT_STARTED),
    ],
)
def test_only_a_verdict_is_a_tick_or_a_cross(played: Played, mark: Mark) -> None:
    assert result_of(played).mark is mark


def test_a_run_without_a_journal_has_no_instances() -> None:
    table = Table()
    table.add("m", "a", None)

    assert table.runs[0] == RunResult("m.m.a.1", table.runs[0].cell, 1)
    assert table.runs[0].instances == {}
