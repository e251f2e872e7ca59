"""Every figure a second time, by statsmodels or by counting, and no nonsense at the ends.

It is imported where it is used: each process of `pytest -n` collects all files, and that took 3 s.
"""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.stats import (
    finite_interval,
    holm,
    interval_by_cluster,
    power_of_sign_test,
    sign_test,
    smallest_difference,
    wilson,
)

COUNTS = [(0, 1), (1, 1), (0, 300), (300, 300), (85, 300), (116, 300), (1, 7), (13, 50)]


@pytest.mark.parametrize(("resolved", "n"), COUNTS)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilsons_interval_is_that_of_statsmodels(resolved: int, n: int, confidence: float) -> None:
    from statsmodels.stats.proportion import proportion_confint

    theirs = proportion_confint(resolved, n, 1 - confidence, method="wilson")

    assert wilson(resolved, n, confidence) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(
    ("better", "worse"), [(0, 0), (1, 0), (0, 6), (5, 5), (33, 28), (85, 0), (40, 12)]
)
def test_the_sign_test_is_mcnemars_of_statsmodels(better: int, worse: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    theirs = mcnemar([[7, better], [worse, 9]], exact=True).pvalue

    assert sign_test(better, worse) == pytest.approx(min(1.0, theirs))


@pytest.mark.slow
def test_holms_correction_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    values = [0.01, 0.04, 0.03, 0.005, 0.2, 0.2, 1.0]

    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


REPOSITORIES = {
    "django": [True] * 30 + [False] * 84,
    "sympy": [True] * 10 + [False] * 67,
    "flask": [False] * 3,
    "requests": [True] * 4 + [False] * 2,
}


@pytest.mark.slow
def test_the_interval_by_repository_is_the_cluster_robust_one_of_statsmodels() -> None:
    from statsmodels.regression.linear_model import OLS

    values = [float(y) for each in REPOSITORIES.values() for y in each]
    groups = [n for n, each in enumerate(REPOSITORIES.values()) for _ in each]
    fit = OLS(values, numpy.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": numpy.array(groups)}, use_t=True
    )
    low, high = fit.conf_int()[0]

    found = interval_by_cluster(REPOSITORIES)

    ours = wilson(int(sum(values)), len(values))
    assert low < ours[0] or high > ours[1], "the clusters must say something in this test"
    expected = (max(0, min(low, ours[0])), min(1, max(high, ours[1])))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("came_out", [True, False])
def test_where_all_came_out_alike_the_interval_by_repository_is_no_point(came_out: bool) -> None:
    found = interval_by_cluster({"a": [came_out] * 5, "b": [came_out] * 2})

    assert found == wilson(7 * came_out, 7)


@pytest.mark.parametrize("clusters", [{}, {"a": [True, False]}])
def test_one_repository_says_nothing_of_how_repositories_differ(
    clusters: dict[str, list[bool]],
) -> None:
    assert interval_by_cluster(clusters) is None


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=2, max_size=9))
def test_an_interval_by_repository_holds_wilsons_and_lies_within_zero_and_one(
    each: list[list[bool]],
) -> None:
    found = interval_by_cluster({str(n): one for n, one in enumerate(each)})
    resolved, n = sum(map(sum, each)), sum(map(len, each))

    assert found is not None
    low, high = wilson(resolved, n)
    assert 0 <= found[0] <= low <= high <= found[1] <= 1


@pytest.mark.parametrize(
    ("resolved", "sampled", "population"),
    [(0, 5, 20), (5, 5, 20), (3, 10, 11), (0, 1, 1), (1, 1, 9), (12, 30, 60)],
)
def test_the_interval_of_the_whole_benchmark_holds_what_neither_tail_rules_out(
    resolved: int, sampled: int, population: int
) -> None:
    def share_with(whole: int, counts: range) -> float:
        ways = (math.comb(whole, k) * math.comb(population - whole, sampled - k) for k in counts)
        return sum(ways) / math.comb(population, sampled)

    kept = [
        whole
        for whole in range(resolved, population - sampled + resolved + 1)
        if share_with(whole, range(resolved, sampled + 1)) > 0.025
        and share_with(whole, range(resolved + 1)) > 0.025
    ]

    assert finite_interval(resolved, sampled, population) == pytest.approx(
        (kept[0] / population, kept[-1] / population)
    )


@pytest.mark.parametrize("population", [20, 50])
def test_the_whole_benchmarks_rate_lies_within_in_at_least_95_of_100_samples(
    population: int,
) -> None:
    from scipy.stats import hypergeom

    sampled = population // 3
    intervals = [finite_interval(k, sampled, population) for k in range(sampled + 1)]
    for whole in range(population + 1):
        covered = sum(
            float(hypergeom.pmf(k, population, whole, sampled))
            for k, (low, high) in enumerate(intervals)
            if low - 1e-9 <= whole / population <= high + 1e-9
        )
        assert covered >= 0.95 - 1e-9


def test_a_sample_of_everything_leaves_no_doubt_and_one_of_nothing_leaves_all() -> None:
    assert finite_interval(7, 20, 20) == (7 / 20, 7 / 20)
    assert finite_interval(0, 0, 20) == (0.0, 1.0)
    with pytest.raises(ValueError):
        finite_interval(0, 0, 0)


def test_a_subset_says_more_of_the_rest_of_its_benchmark_than_of_tasks_like_it() -> None:
    low, high = finite_interval(100, 250, 300)
    wide_low, wide_high = wilson(100, 250)

    assert wide_low < low < 100 / 250 < high < wide_high


def test_the_power_is_the_one_that_counting_gives() -> None:
    n, differing, difference = 12, 0.6, 0.5
    up, down = (differing + difference) / 2, (differing - difference) / 2
    counted = sum(
        math.factorial(n)
        / (math.factorial(b) * math.factorial(w) * math.factorial(n - b - w))
        * up**b
        * down**w
        * (1 - differing) ** (n - b - w)
        for b in range(n + 1)
        for w in range(n + 1 - b)
        if sign_test(b, w) <= 0.05
    )

    assert power_of_sign_test(n, differing, difference) == pytest.approx(counted)


def test_the_smallest_difference_is_near_connors_formula_and_not_below_it() -> None:
    """R. J. Connor, Biometrics 43, 1987, which is of the test without continuity correction."""
    n, differing = 300, 0.2
    found = smallest_difference(n, differing)

    assert found is not None
    needed = (1.959964 * differing**0.5 + 0.841621 * (differing - found**2) ** 0.5) ** 2 / found**2
    assert 0.85 * n < needed <= n


@pytest.mark.parametrize(("n", "differing"), [(0, 0.0), (1, 1.0), (5, 1.0), (300, 0.0), (20, 0.1)])
def test_too_few_instances_could_show_no_difference_at_all(n: int, differing: float) -> None:
    assert smallest_difference(n, differing) is None


def test_six_that_all_differ_to_one_side_are_the_fewest_that_show_anything() -> None:
    assert smallest_difference(6, 1.0) == pytest.approx((2 * 0.8 ** (1 / 6)) - 1, abs=1e-3)
