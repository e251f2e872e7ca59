"""What follows from levels: pure, so from levels that are made up."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from orchestrator.bench.advice import (
    Question,
    conclude,
    estimate_night,
    recommend,
    stop_reason,
    warnings,
)
from orchestrator.bench.conversations import shape_for
from orchestrator.bench.levels import Level, MeasuredAnswer
from orchestrator.bench.target import Target
from orchestrator.bench.view import Sweep, level_line, render
from orchestrator.config.schema import Endpoint, Model
from orchestrator.endpoint.metrics import ServerMetrics

QUESTION = Question(seconds=60, pause_s=1, instances=300, steps=40, spread=20)


def answer(
    ended_s: float, lasts_s: float = 2.0, tokens: int = 200, pause_s: float = 1.0
) -> MeasuredAnswer:
    sent_s = ended_s - lasts_s
    return MeasuredAnswer(sent_s, sent_s, sent_s + 0.5, ended_s, pause_s, 5000, tokens)


def level(at_once: int, speed: float, preemptions: int | None = None, **more: Any) -> Level:
    """A level with one even answer a second, `speed` tokens each."""
    answers = tuple(answer(10.5 + i, 1.5, round(speed)) for i in range(60))
    server = None if preemptions is None else ServerMetrics(preemptions=preemptions)
    return Level(at_once, (10.0, 70.0), answers, server=server, **more)


def dead(at_once: int, **errors: int) -> Level:
    return Level(at_once, (10.0, 70.0), (), errors=errors)


def chosen(*levels: Level) -> int | None:
    advice = recommend(levels)
    return advice.at_once if advice else None


def test_an_answer_over_the_windows_edge_counts_by_its_share() -> None:
    # written from 9.5 to 11.5 and from 69 to 71: of 200 tokens 150 and 100 lie inside
    edges = (answer(11.5, 2.5), answer(71.0, 2.5))

    found = Level(1, (10.0, 70.0), (*edges, answer(40.0)))

    assert found.generated_per_s == pytest.approx((150 + 100 + 200) / 60)
    assert [a.ended_s for a in found.counted] == [11.5, 40.0]
    assert found.answers_per_min == pytest.approx(2)


def test_nothing_measured_is_not_zero() -> None:
    found = dead(4, timeout=3)

    assert found.generated_per_s is None
    assert found.first_token_s is None
    assert found.as_dict()["generated_per_s"] is None
    assert level_line(found) == "   4 at once: no answer, 3 x timeout"


def test_the_standard_error_is_small_where_the_pace_is_even() -> None:
    even, uneven = level(1, 100), Level(1, (0.0, 60.0), (answer(3.0), answer(4.0)))

    assert even.generated_error < 0.05 * 100
    assert uneven.generated_per_s is not None
    assert uneven.generated_error > 0.5 * uneven.generated_per_s


def test_the_cached_share_is_the_servers_or_else_the_answers() -> None:
    cached = MeasuredAnswer(0, 0, 1, 2, 0, prompt_tokens=100, completion_tokens=1, cached_tokens=75)
    metrics = ServerMetrics(prefix_queries=200, prefix_hits=50)

    assert Level(1, (0.0, 3.0), (cached,)).cached == 0.75
    assert Level(1, (0.0, 3.0), (cached,), server=metrics).cached == 0.25
    assert level(1, 100).cached is None


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


def shown(*levels: Level, ended: str | None = None) -> str:
    url = "http://h:8000/v1"
    target = Target(url, {}, {}, 10, shape_for(32768, 40), 3.0, True, None)
    model = Model(name="m", served_name="m", endpoint=Endpoint(base_url=url))
    console = Console(file=io.StringIO(), width=80)
    console.print(render(Sweep(model, target, QUESTION, conclude(levels, QUESTION, ended))))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_people_see_a_picture_a_recommendation_and_what_the_time_rests_on() -> None:
    text = shown(level(1, 100), level(4, 400), level(8, 410, preemptions=2), ended="why not")

    assert "   4  ███████" in text
    assert "Recommended: 4 at once." in text
    assert "--set model.max_concurrency=4" in " ".join(text.split())
    assert "300 instances would take about" in text
    assert "40 steps on average" in text
    assert "left out: why not" in text
    assert max(map(len, text.splitlines())) <= 80


def test_people_see_when_nothing_works() -> None:
    text = shown(dead(1, refused=9))

    assert "nothing was measured (no answer, 9 x refused)" in text
    assert "No recommendation" in text
    assert shown().strip().startswith("No recommendation")
