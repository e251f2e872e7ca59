from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.stats import Z95, quantiles, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # Wikipedia's and everybody's: half of ten
        (5, 10, 0.2366, 0.7634),
    ],
)
def test_the_interval_is_the_published_one(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_no_instances_say_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(2, 1), (-1, 1), (1, 0)])
def test_more_successes_than_instances_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError):
        wilson(successes, n)


counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_the_rate_lies_within_its_interval_and_that_within_zero_and_one(
    count: tuple[int, int],
) -> None:
    successes, n = count
    low, high = wilson(successes, n)

    assert 0 <= low <= successes / n <= high <= 1
    assert low < high


@given(counts)
def test_failures_mirror_successes(count: tuple[int, int]) -> None:
    successes, n = count
    low, high = wilson(successes, n)

    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


@given(counts)
def test_more_instances_at_the_same_rate_say_more(count: tuple[int, int]) -> None:
    successes, n = count
    low, high = wilson(successes, n)
    narrower_low, narrower_high = wilson(2 * successes, 2 * n)

    assert narrower_high - narrower_low < high - low


@given(counts, st.floats(0.5, 4))
def test_more_confidence_is_a_wider_interval(count: tuple[int, int], z: float) -> None:
    narrow, wide = sorted([z, Z95])

    assert wilson(*count, z=wide)[0] <= wilson(*count, z=narrow)[0] + 1e-12
    assert wilson(*count, z=wide)[1] >= wilson(*count, z=narrow)[1] - 1e-12


@pytest.mark.parametrize(
    ("parts", "expected"), [(2, [2.5]), (4, [1.75, 2.5, 3.25]), (20, [2.5, 3.85])]
)
def test_quantiles_lie_on_the_line_between_their_neighbours(
    parts: int, expected: list[float]
) -> None:
    cuts = quantiles([4.0, 1.0, 3.0, 2.0], parts)

    assert len(cuts) == parts - 1
    assert (cuts if parts < 20 else [cuts[9], cuts[-1]]) == pytest.approx(expected)


def test_a_single_value_is_all_its_quantiles() -> None:
    assert quantiles([7.0], 4) == [7.0] * 3


def test_no_values_have_no_quantiles() -> None:
    with pytest.raises(ValueError):
        quantiles([], 2)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(2, 50))
def test_quantiles_rise_within_the_values(values: list[float], parts: int) -> None:
    cuts = quantiles(values, parts)

    assert min(values) - 1e-6 <= cuts[0]
    assert all(low <= high + 1e-6 for low, high in pairwise(cuts))
    assert cuts[-1] <= max(values) + 1e-6
