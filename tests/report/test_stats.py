from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.stats import (
    Z95,
    clustered_wilson,
    holm,
    paired_interval,
    quantiles,
    sign_test,
    wilson,
)


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


@given(counts, st.floats(0.3, 0.999))
def test_more_confidence_is_a_wider_interval(count: tuple[int, int], confidence: float) -> None:
    narrow, wide = sorted([confidence, 0.95])

    assert wilson(*count, wide)[0] <= wilson(*count, narrow)[0] + 1e-12
    assert wilson(*count, wide)[1] >= wilson(*count, narrow)[1] - 1e-12


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


verdicts = st.lists(st.booleans(), min_size=1, max_size=300)
shares_of = st.integers(1, 5).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(0, k).map(lambda r: r / k), min_size=1, max_size=60), st.just(k)
    )
)


@given(verdicts)
def test_one_attempt_each_has_wilsons_interval(resolved: list[bool]) -> None:
    shares = [float(one) for one in resolved]

    assert clustered_wilson(shares, 1) == pytest.approx(wilson(sum(resolved), len(resolved)))


@given(verdicts, st.integers(2, 9))
def test_attempts_that_all_end_alike_say_no_more_than_one_of_them(
    resolved: list[bool], attempts: int
) -> None:
    shares = [float(one) for one in resolved]

    assert clustered_wilson(shares, attempts) == pytest.approx(clustered_wilson(shares, 1))


@given(shares_of)
def test_attempts_say_more_than_instances_and_less_than_as_many_instances(
    given_shares: tuple[list[float], int],
) -> None:
    shares, attempts = given_shares
    n, rate = len(shares), sum(shares) / len(shares)
    low, high = clustered_wilson(shares, attempts)

    assert low - 1e-12 <= rate <= high + 1e-12
    widest, narrowest = (
        wilson(rate * n, n),
        wilson(rate * n * attempts, n * attempts),
    )
    assert widest[0] - 1e-9 <= low <= narrowest[0] + 1e-9
    assert narrowest[1] - 1e-9 <= high <= widest[1] + 1e-9


def test_a_rate_over_no_instances_says_nothing() -> None:
    assert clustered_wilson([], 3) == (0.0, 1.0)


def test_attempts_that_agree_half_of_the_time_count_as_their_variance_says() -> None:
    """Of 4 instances with shares 0, 1/2, 1/2, 1: the variance of the mean is (1/6) / 4, that of a
    trial is 1/4, so they are worth 6 trials of the 8."""
    assert clustered_wilson([0, 0.5, 0.5, 1], 2) == pytest.approx(wilson(3, 6))


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 0.0625),
        (6, 0, 0.03125),
        # R's binom.test(2, 12): 2 * (1 + 12 + 66) / 4096
        (2, 10, 0.03857421875),
        # the table of Agresti's Categorical Data Analysis, 10.1: 86 and 150
        (86, 150, 3.716e-05),
        (7, 7, 1.0),
    ],
)
def test_the_sign_test_is_the_exact_one(better: int, worse: int, p: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p, rel=1e-3)
    assert sign_test(worse, better) == sign_test(better, worse)


@pytest.mark.parametrize(("better", "worse"), [(-1, 0), (0, -1)])
def test_fewer_than_no_instances_are_refused(better: int, worse: int) -> None:
    with pytest.raises(ValueError):
        sign_test(better, worse)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_larger_lead_is_a_smaller_p_value(better: int, worse: int) -> None:
    more, less = max(better, worse), min(better, worse)

    assert 0 < sign_test(more + 1, less) <= sign_test(more, less) <= 1


differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=200)


@given(differences)
def test_a_mean_difference_lies_within_its_interval(values: list[float]) -> None:
    low, high = paired_interval(values)

    assert -1 <= low <= sum(values) / len(values) <= high <= 1
    assert low < high


@given(differences)
def test_the_other_way_round_is_the_mirrored_interval(values: list[float]) -> None:
    low, high = paired_interval(values)

    assert paired_interval([-value for value in values]) == pytest.approx((-high, -low))


def test_the_interval_of_pairs_is_bonetts_and_prices() -> None:
    """Of 1 and 9 that differ, of 50: (1 + 1) / 52 and (9 + 1) / 52."""
    values = [1.0] + [-1.0] * 9 + [0.0] * 40
    p, q = 2 / 52, 10 / 52
    margin = Z95 * ((p + q - (p - q) ** 2) / 52) ** 0.5

    assert paired_interval(values) == pytest.approx((p - q - margin, p - q + margin))


def test_no_pairs_say_nothing() -> None:
    assert paired_interval([]) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("given_p", "corrected"),
    [
        ([], []),
        ([0.04], [0.04]),
        # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9, 1.0], [1.0, 1.0, 1.0]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
    ],
)
def test_holms_correction_is_the_published_one(
    given_p: list[float], corrected: list[float]
) -> None:
    assert holm(given_p) == pytest.approx(corrected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_a_correction_makes_no_p_value_smaller_and_keeps_their_order(values: list[float]) -> None:
    corrected = holm(values)

    assert all(
        p <= q <= min(1, len(values) * p) + 1e-12 for p, q in zip(values, corrected, strict=True)
    )
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(corrected[i] <= corrected[j] for i, j in pairwise(order))
