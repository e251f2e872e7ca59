"""Neighbours compared: who with whom, on which instances, and what the numbers are."""

from __future__ import annotations

import pytest
from support.matrices import (
    EMPTY,
    FAILED,
    NOT_GRADED,
    NOT_STARTED,
    RESOLVED,
    SALVAGED,
    UNRESOLVED,
    Played,
    Table,
)

from orchestrator.matrix.pairs import Pair, build_pairs
from orchestrator.report.stats import holm, sign_test

YES, NO = RESOLVED, UNRESOLVED


def test_cells_are_compared_that_differ_in_one_thing_of_one_benchmark() -> None:
    table = Table()
    for benchmark in ("lite", "verified"):
        for model in ("g", "q"):
            for agent in ("a", "b", "c"):
                table.add(model, agent, [YES, NO], benchmark=benchmark)
        table.add(None, "gold", [YES, YES], benchmark=benchmark)

    pairs = build_pairs(table.runs).compared

    # by agent: two models, three pairs each; by model: three agents, one each
    assert len(pairs) == 2 * (2 * 3 + 3)
    assert {pair.differs_in for pair in pairs} == {"model", "agent"}
    for pair in pairs:
        assert pair.one != pair.other
        assert "gold" not in (pair.one, pair.other)
        assert pair.shared in ({"a", "b", "c"} if pair.differs_in == "model" else {"g", "q"})


def pair_of(one: list[Played], other: list[Played]) -> Pair:
    table = Table()
    table.add("m", "a", one)
    table.add("m", "b", other)
    (pair,) = build_pairs(table.runs).compared
    return pair


def test_only_instances_on_which_two_differ_count_for_the_test() -> None:
    pair = pair_of([YES] * 7 + [NO] + [YES] * 5 + [NO] * 4, [NO] * 7 + [YES] + [YES] * 5 + [NO] * 4)

    assert (pair.better, pair.worse, pair.instances, pair.left_out) == (7, 1, 17, 0)
    assert pair.p == pytest.approx(sign_test(7, 1))
    assert pair.p_holm == pair.p, "there is one pair"
    assert pair.difference == pytest.approx(6 / 17)
    low, high = pair.ci95
    assert low < 6 / 17 < high


@pytest.mark.parametrize("lost", [FAILED, NOT_STARTED, NOT_GRADED])
def test_an_instance_without_a_verdict_in_either_is_left_out_and_never_a_zero(
    lost: Played,
) -> None:
    pair = pair_of([YES, YES, lost, YES], [YES, lost, YES, NO])

    assert (pair.instances, pair.left_out) == (2, 2)
    assert (pair.better, pair.worse, pair.difference) == (1, 0, 0.5)


def test_an_empty_patch_is_a_verdict_and_a_salvaged_one_as_good_as_any() -> None:
    pair = pair_of([SALVAGED, EMPTY], [EMPTY, SALVAGED])

    assert (pair.better, pair.worse, pair.left_out) == (1, 1, 0)


def test_attempts_are_compared_instance_by_instance_by_the_share_that_is_resolved() -> None:
    table = Table()
    for attempt, (one, other) in enumerate(
        [([YES, YES, NO, YES], [NO, YES, YES, YES]), ([YES, NO, NO, FAILED], [NO, YES, NO, YES])], 1
    ):
        table.add("m", "a", one, attempt=attempt)
        table.add("m", "b", other, attempt=attempt)
    (pair,) = build_pairs(table.runs).compared

    # 2 of 2 against none, 1 against 2, none against 1; of the last one an attempt has no verdict
    assert (pair.better, pair.worse, pair.instances, pair.left_out) == (1, 2, 3, 1)
    assert pair.difference == pytest.approx((1 - 0.5 - 0.5) / 3)
    assert pair.one_run_ids == ("m.m.a.1", "m.m.a.2")


def test_p_values_are_corrected_over_all_pairs_of_the_matrix() -> None:
    table = Table()
    table.add("m", "a", [YES] * 12, benchmark="lite")
    table.add("m", "b", [NO] * 12, benchmark="lite")
    table.add("m", "c", [YES] * 6 + [NO] * 6, benchmark="lite")
    table.add("m", "a", [YES] * 9, benchmark="verified")
    table.add("m", "b", [NO] * 9, benchmark="verified")
    pairs = build_pairs(table.runs).compared

    p = [sign_test(12, 0), sign_test(6, 0), sign_test(0, 6), sign_test(9, 0)]
    assert [pair.p for pair in pairs] == pytest.approx(p)
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm(p))


def test_pairs_that_say_nothing_are_counted_with_why_and_correct_nobody() -> None:
    table = Table()
    table.add("m", "a", [YES] * 8)
    table.add("m", "b", [NO] * 8)
    table.add("m", "c", None, problem="its model stayed away")
    table.add("m", "d", [FAILED] * 8)
    pairs = build_pairs(table.runs)

    (pair,) = pairs.compared
    assert pair.p_holm == pair.p == sign_test(8, 0)
    assert pairs.left_out == {
        "a run of theirs never started": 3,
        "no instance has a verdict in both": 2,
    }


def test_a_matrix_of_one_cell_has_no_pairs() -> None:
    table = Table()
    table.add("m", "a", [YES])

    pairs = build_pairs(table.runs)
    assert (pairs.compared, pairs.left_out) == ((), {})
