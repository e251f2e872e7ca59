"""The numbers of one level."""

from __future__ import annotations

import pytest
from support.levels import answer, dead, level

from orchestrator.bench.levels import Level, MeasuredAnswer
from orchestrator.endpoint.metrics import ServerMetrics


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
