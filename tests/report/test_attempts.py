"""pass@k and pass^k are unbiased, attempts at one instance are a cluster, and flips are named."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations, product

import pytest
from scipy.stats import binom

from orchestrator.report.attempts import (
    build_repeated,
    flip_chance,
    pass_all_k,
    pass_at_k,
    repeated_lines,
)
from orchestrator.report.stats import clustered_wilson

CASES = [(n, c, k) for n in range(1, 6) for c in range(n + 1) for k in range(1, n + 1)]


@pytest.mark.parametrize(("n", "c", "k"), CASES)
def test_the_estimators_are_the_shares_of_all_choices_of_k(n: int, c: int, k: int) -> None:
    choices = list(combinations([True] * c + [False] * (n - c), k))

    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, choices)) / len(choices))
    assert pass_all_k(n, c, k) == pytest.approx(sum(map(all, choices)) / len(choices))


@pytest.mark.parametrize(("n", "k"), [(2, 1), (2, 2), (5, 3), (8, 8)])
@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_the_estimators_are_unbiased(n: int, k: int, chance: float) -> None:
    weights = [(c, binom.pmf(c, n, chance)) for c in range(n + 1)]

    assert sum(w * pass_at_k(n, c, k) for c, w in weights) == pytest.approx(1 - (1 - chance) ** k)
    assert sum(w * pass_all_k(n, c, k) for c, w in weights) == pytest.approx(chance**k)


@pytest.mark.parametrize("c", range(4))
def test_the_flip_rate_is_the_share_of_pairs_that_differ(c: int) -> None:
    pairs = list(combinations([True] * c + [False] * (3 - c), 2))

    assert flip_chance(3, c) == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))


def test_a_cell_of_three_attempts_tells_every_k_and_what_flips() -> None:
    found = build_repeated({"a": 3, "b": 0, "c": 1}, 3, left_out=1)

    assert found is not None
    assert found.pass_at[1].rate == pytest.approx(4 / 9)
    assert found.pass_at[1].ci95 == pytest.approx(clustered_wilson([1, 0, 1 / 3], 3))
    assert (found.pass_at[3].rate, found.pass_all[3].rate) == pytest.approx((2 / 3, 1 / 3))
    assert found.flips == {"c": 1}
    text = "\n".join(repeated_lines(found))
    assert "pass^3 33.3%" in text
    assert "1 of 3 instances flip" in text
    assert "has no verdict: 1" in text


@pytest.mark.parametrize(("attempts", "n"), list(product([2, 5], [1, 30])))
@pytest.mark.parametrize("all_resolved", [True, False])
def test_attempts_that_all_end_alike_are_no_nonsense(
    attempts: int, n: int, all_resolved: bool
) -> None:
    resolved = {str(i): attempts * all_resolved for i in range(n)}
    found = build_repeated(resolved, attempts, 0)

    assert found is not None
    assert (found.flip_rate, found.flips) == (0, {})
    for each in (*found.pass_at.values(), *found.pass_all.values()):
        assert each.rate == float(all_resolved)
        assert 0 <= each.ci95[0] < each.ci95[1] <= 1
    json.dumps(asdict(found), allow_nan=False)


def test_a_single_attempt_or_none_with_a_verdict_says_nothing_of_repeating() -> None:
    assert build_repeated({"a": 1}, 1, 0) is None
    assert build_repeated({}, 3, 4) is None
    with pytest.raises(ValueError):
        pass_at_k(3, 4, 1)
