from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.pages import page_of, subject_of
from support.rows import failed, graded, rolled, state

from orchestrator.page.sections.headline import build_headline
from orchestrator.report.calibration import Calibrated
from orchestrator.report.published import Published

THREE = state(*map(rolled, "abc"), grades=[graded("a", True), graded("b", False)])


def test_results_stand_in_the_order_of_their_rates_this_run_among_them() -> None:
    others = [Published("low", 1, 300), Published("high", 299, 300), Published("same", 1, 3)]

    headline = build_headline(subject_of(THREE, published=others))

    names = [one.name for one in headline.results]
    assert names == ["high", "same", "this run", "low"]
    assert [one.is_this_run for one in headline.results] == [False, False, True, False]


@pytest.mark.parametrize("resolved", [0, 1, 3])
def test_a_rate_lies_in_its_interval_and_the_interval_between_nothing_and_all(
    resolved: int,
) -> None:
    grades = [graded(i, n < resolved) for n, i in enumerate("abc")]

    result = build_headline(subject_of(state(*map(rolled, "abc"), grades=grades))).result

    low, high = result.interval
    assert 0 <= low <= result.rate <= high <= 1


def test_no_instance_has_no_rate_and_the_interval_says_nothing() -> None:
    headline = build_headline(subject_of(state(ids=())))

    assert headline.rate == "0.0%"
    assert headline.interval == "0.0% to 100.0%"


@pytest.mark.parametrize(
    ("seen", "standing"),
    [
        (state(rolled("a"), grades=[graded("a", True)], ids=("a",)), "valid"),
        (state(failed("a"), ids=("a",)), "quarantined"),
        (state(ids=("a",)), "unfinished"),
    ],
    ids=["valid", "quarantined", "unfinished"],
)
def test_a_run_stands_in_one_of_three_ways(seen: object, standing: str) -> None:
    assert build_headline(subject_of(seen)).validity.state == standing  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_calibrated_rate_stands_beside_the_raw_one_with_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    subject = subject_of(state(*map(rolled, "abc"), grades=[graded(i, i == "a") for i in "abc"]))
    left_out = {"c": "flickers: gold resolved 1 of 2 times"}
    calibrated = Calibrated(2, 1, 0.5, (0.1, 0.9), left_out, 3)

    page = page_of(
        replace(subject, report=replace(subject.report, calibrated=calibrated)), tmp_path
    )

    assert page.text.index("1 of 3 instances resolved") < page.text.index("1 of 2 (50.0%")
    assert "c flickers: gold resolved 1 of 2 times" in page.text


def test_what_a_person_asks_next_is_told_where_it_is_known() -> None:
    facts = dict(build_headline(subject_of(THREE)).facts)

    assert facts["attempted"] == "3 of 3"
    assert facts["without a verdict"] == "1"
    assert "tokens" not in facts  # none were counted
