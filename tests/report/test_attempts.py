from __future__ import annotations

from itertools import combinations

import pytest

from orchestrator.report.attempts import attempt_statistics, flip_rate, pass_all, pass_at

VERDICTS = {
    "a": [True, True, True],
    "b": [True, False, True],
    "c": [False, False, False],
    "d": [False, False, True],
}


@pytest.mark.parametrize("attempts", [2, 3, 5])
def test_estimates_are_means_over_all_ways_to_draw_the_attempts(attempts: int) -> None:
    for resolved in range(attempts + 1):
        each = [number < resolved for number in range(attempts)]
        pairs = list(combinations(each, 2))
        assert flip_rate(resolved, attempts) == pytest.approx(
            sum(one != other for one, other in pairs) / len(pairs)
        )
        for k in range(1, attempts + 1):
            draws = list(combinations(each, k))
            assert pass_at(k, resolved, attempts) == pytest.approx(
                sum(any(draw) for draw in draws) / len(draws)
            )
            assert pass_all(k, resolved, attempts) == pytest.approx(
                sum(all(draw) for draw in draws) / len(draws)
            )


def test_statistics_of_several_attempts() -> None:
    found = attempt_statistics(VERDICTS, left_out=2)

    assert found is not None
    assert [e.value for e in found.pass_at] == pytest.approx([0.5, (1 + 1 + 0 + 2 / 3) / 4, 0.75])
    assert [e.value for e in found.pass_all] == pytest.approx([0.5, (1 + 1 / 3) / 4, 0.25])
    assert found.pass_at[0].ci95 == found.pass_all[0].ci95
    assert all(e.ci95[0] <= e.value <= e.ci95[1] for e in (*found.pass_at, *found.pass_all))
    assert found.flip_rate == pytest.approx((0 + 2 / 3 + 0 + 2 / 3) / 4)
    assert found.resolved_in == (1, 1, 1, 1)
    assert found.flipped == {"b": "✓✗✓", "d": "✗✗✓"}
    assert (found.instances, found.left_out, found.attempts) == (4, 2, 3)


@pytest.mark.parametrize("verdict", [True, False])
def test_attempts_that_all_agree_are_told_with_an_interval_that_says_so_little(
    verdict: bool,
) -> None:
    found = attempt_statistics({"only": [verdict, verdict]})

    assert found is not None
    low, high = found.pass_at[0].ci95
    assert high - low > 0.4  # one instance says next to nothing
    assert found.flip_rate == 0
    assert found.flipped == {}


@pytest.mark.parametrize("verdicts", [{}, {"a": [True]}])
def test_one_attempt_says_nothing_about_several(verdicts: dict[str, list[bool]]) -> None:
    assert attempt_statistics(verdicts) is None
