"""A report says of what its rate is an estimate, what was left out, and whether at random."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.matrices import FAILED, NOT_STARTED, RESOLVED, UNRESOLVED, Played, config, state_of

from orchestrator.config.schema import Selection
from orchestrator.report.build import Report, build_report
from orchestrator.report.intervals import interval_lines
from orchestrator.report.stats import finite_interval, wilson

YES, NO = RESOLVED, UNRESOLVED


def report(played: list[Played], whole: int | None, **selection: Any) -> Report:
    found = config().model_copy(update={"selection": Selection(**selection)})
    seen = state_of("m", {f"org__box-{n}": one for n, one in enumerate(played, start=1)})
    return build_report(found, seen, {}, benchmark_instances=whole)


@pytest.mark.parametrize("whole", [4, None])
def test_a_run_of_the_whole_benchmark_has_left_nothing_out(whole: int | None) -> None:
    found = report([YES, NO, NO, YES], whole)

    assert found.subset.is_whole
    assert found.intervals.wilson == found.ci95 == wilson(2, 4)
    assert found.intervals.of_whole_benchmark is None
    assert "covers all" in found.intervals.why_not["of_whole_benchmark"]


def test_a_seeded_sample_has_an_interval_of_the_whole_benchmark_too() -> None:
    found = report([YES, NO, NO, YES, NO], 40, slice="0:5", shuffle=True, seed=3)

    assert found.subset.is_random
    assert found.subset.left_out == {"selection": 35}
    assert found.intervals.of_whole_benchmark == finite_interval(2, 5, 40)
    lines = "\n".join(interval_lines(found.intervals, found.subset))
    assert "of all 40 instances" in lines
    assert "5 of 40 instances have a verdict; left out 35 by the selection" in lines
    assert "random sample, in a seeded order" in lines


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        ({"slice": "0:5"}, "first ones in the benchmark's order"),
        ({"instances": ("org__box-1",)}, "chosen by name"),
        ({"instances": ("org__.*",), "shuffle": True, "slice": "0:5"}, "chosen by name"),
    ],
)
def test_a_selection_that_is_not_by_chance_says_nothing_of_the_rest(
    selection: dict[str, Any], why: str
) -> None:
    found = report([YES, NO, NO, YES, NO], 40, **selection)

    assert not found.subset.is_random
    assert found.intervals.of_whole_benchmark is None
    assert why in found.intervals.why_not["of_whole_benchmark"]
    assert why in found.subset.words


def test_a_run_that_ended_early_says_what_never_started_and_whether_the_rest_is_a_sample() -> None:
    in_order = [YES, NO, YES, NOT_STARTED, NOT_STARTED]
    shuffled, sorted_ = report(in_order, 5, shuffle=True), report(in_order, 5)

    assert shuffled.subset.left_out == sorted_.subset.left_out == {"not_started": 2}
    assert shuffled.subset.is_random
    assert shuffled.intervals.of_whole_benchmark == finite_interval(2, 3, 5)
    assert not sorted_.subset.is_random


@pytest.mark.parametrize("lost", [FAILED, NOT_STARTED])
def test_a_gap_in_a_seeded_order_is_no_chance(lost: Played) -> None:
    found = report([YES, lost, NO, YES], 4, shuffle=True)

    assert not found.subset.is_random
    assert "came first in the order have no verdict" in found.subset.why_not_random


@pytest.mark.parametrize("played", [[YES], [NO], [NO] * 9, [YES] * 9, [FAILED], [NOT_STARTED]])
def test_no_run_is_nonsense(played: list[Played]) -> None:
    found = report(played, 300, slice=f"0:{len(played)}", shuffle=True)

    low, high = found.intervals.wilson
    assert 0 <= low <= found.resolve_rate <= high <= 1
    assert low < high
    if found.intervals.of_whole_benchmark is not None:
        low, high = found.intervals.of_whole_benchmark
        assert 0 <= low < high <= 1
    assert found.intervals.by_repository is None
    assert found.intervals.why_not["by_repository"].startswith("1 repository")
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_subset_of_an_unknown_whole_says_so_and_gives_no_interval_of_it() -> None:
    found = report([YES, NO], None, slice="0:2", shuffle=True)

    assert found.subset.left_out == {"selection": None}
    assert "left out some by the selection" in found.subset.words
    assert found.intervals.of_whole_benchmark is None
    assert "not in this run's lock" in found.intervals.why_not["of_whole_benchmark"]
