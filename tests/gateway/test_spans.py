"""Spans of time that may overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.gateway.spans import merged, total_s, within

MOMENTS = st.integers(0, 40).map(float)
SPANS = st.lists(st.tuples(MOMENTS, MOMENTS), max_size=8)


def test_a_moment_counts_once_however_many_spans_hold_it() -> None:
    assert merged([(5, 9), (0, 2), (1, 3), (3, 4), (7, 8)]) == [(0, 4), (5, 9)]
    assert total_s([(0, 10), (0, 10), (5, 15)]) == 15


@pytest.mark.parametrize("spans", [[], [(3, 3)], [(4, 3)]])
def test_what_holds_no_moment_is_nothing(spans: list[tuple[float, float]]) -> None:
    assert merged(spans) == []


@given(SPANS)
def test_together_they_are_as_long_as_the_seconds_that_any_of_them_holds(
    spans: list[tuple[float, float]],
) -> None:
    seconds = sum(any(start <= s < end for start, end in spans) for s in range(40))

    assert total_s(spans) == seconds
    assert total_s(within(spans, 0, 40)) == seconds
    assert total_s(within(spans, 10, 20)) <= min(seconds, 10)
