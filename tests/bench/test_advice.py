"""What follows from levels: pure, so from levels that are made up."""

from __future__ import annotations

import pytest
from support.levels import QUESTION, answer, dead, level

from orchestrator.bench.advice import (
    Question,
    estimate_night,
    recommend,
    stop_reason,
    warnings,
)
from orchestrator.bench.levels import Level
from orchestrator.endpoint.metrics import ServerMetrics


def chosen(*levels: Level) -> int | None:
    advice = recommend(levels)
    return advice.at_once if advice else None


def test_the_smallest_level_within_five_percent_of_the_best_is_recommended() -> None:
    assert chosen(level(1, 100), level(4, 300), level(8, 390), level(16, 400)) == 8
    assert chosen(level(1, 100), level(4, 300), level(8, 360), level(16, 400)) == 16


def test_levels_with_trouble_are_not_recommended_where_others_are() -> None:
    preempts = level(16, 500, preemptions=3)
    assert chosen(level(4, 300, preemptions=0), level(8, 390, preemptions=0), preempts) == 8
    assert chosen(level(4, 300), level(8, 500, errors={"timeout": 5})) == 4
    assert chosen(level(4, 300), level(8, 500, rejected=61)) == 4
    assert chosen(level(4, 300), level(8, 500, rejected=20)) == 8, "waited out, and still faster"
    assert chosen(preempts) == 16, "no level is without trouble"


def test_a_level_at_which_nothing_works_never_wins() -> None:
    assert chosen(level(1, 100), dead(2, refused=9)) == 1
    assert chosen(dead(1, refused=9)) is None
    assert chosen() is None


def test_the_reason_names_the_best_and_the_trouble() -> None:
    advice = recommend(
        [level(8, 390), level(16, 400), level(32, 600, preemptions=7), dead(64, x=9)]
    )

    assert advice is not None
    assert advice.why == (
        "387 tokens/s is 98% of the most that was reached without trouble, which took 16 at once; "
        "32 at once: +54%, but 7 preempted; 64 at once: does not work (no answer, 9 x x)"
    )


def test_the_sweep_stops_where_more_is_not_worth_measuring() -> None:
    up = [level(1, 100), level(2, 200), level(4, 190)]

    assert stop_reason(up) is None
    assert stop_reason([*up, level(8, 180)]) == "the throughput has fallen twice"
    assert stop_reason([*up, level(8, 195)]) is None
    assert stop_reason([dead(1, refused=9)]) == "most requests failed at 1 at once"
    assert stop_reason([dead(1)]) == "not one answer ended within the 60 s at 1 at once"


@pytest.mark.slow
def test_a_night_takes_as_long_as_its_steps() -> None:
    night = estimate_night(level(8, 390), QUESTION)

    assert night is not None
    step_s = 1.5 + 1.0
    assert night.step_s == pytest.approx(step_s)
    assert night.wall_s == pytest.approx(300 * 40 * step_s / 8, rel=0.1)
    assert night.low_s < night.wall_s < night.high_s


def test_a_night_without_any_spread_is_exact() -> None:
    even = Question(60, 1, instances=16, steps=10, spread=0)

    night = estimate_night(level(8, 390), even)

    assert night is not None
    assert (night.low_s, night.high_s) == pytest.approx((50, 50)), "two rounds of ten steps"


def test_of_few_steps_no_night_is_made() -> None:
    assert estimate_night(Level(1, (0.0, 9.0), (answer(3.0), answer(8.0))), QUESTION) is None


def test_what_limits_the_numbers_is_said() -> None:
    top = level(2, 200)
    foreign = Level(4, (10.0, 70.0), top.answers, server=ServerMetrics(generation_tokens=99_999))

    assert [w.split(":")[0] for w in warnings([level(1, 100), top], top)] == [
        "the throughput still grew at 2 at once"
    ]
    (said,) = warnings([foreign, level(8, 90)], foreign)
    assert "somebody else" in said
    (said,) = warnings([level(1, 100, warm=False), level(2, 90)], None)
    assert said.startswith("at 1 at once some agents had no answer")
