"""How often gold patches are graded: what is new or asked for again, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.calibrate.target import left_to_try, trials_wanted


@pytest.mark.parametrize(
    ("had", "grades", "again", "left"),
    [
        ({"a": 0, "b": 0}, 1, False, ("a", "b")),
        ({"a": 1, "b": 0}, 1, False, ("b",)),
        ({"a": 1, "b": 3}, 1, False, ()),
        ({"a": 1, "b": 3}, 3, False, ("a",)),
        ({"a": 1, "b": 1}, 1, True, ("a", "b")),
        ({"a": 2, "b": 1}, 1, True, ("b",)),  # killed on its way: only the rest is done
        ({"a": 2, "b": 0}, 1, True, ("a", "b")),
        ({"a": 0, "b": 0}, 1, True, ("a", "b")),
    ],
)
def test_only_what_is_new_or_asked_for_again_is_graded(
    had: dict[str, int], grades: int, again: bool, left: tuple[str, ...]
) -> None:
    assert left_to_try(had, trials_wanted(had, grades, again)) == left


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.booleans(), st.data())
def test_whoever_is_killed_and_asks_for_the_same_goes_on_where_it_was(
    counts: list[int], again: bool, data: st.DataObject
) -> None:
    had = {f"i-{n}": count for n, count in enumerate(counts)}
    wanted = trials_wanted(had, 1, again)
    left = left_to_try(had, wanted)
    done = left[: data.draw(st.integers(0, max(0, len(left) - 1)), "graded before the kill")]
    after = {i: count + (i in done) for i, count in had.items()}

    still = left_to_try(after, trials_wanted(after, 1, again))

    if all(counts) or not again:
        assert set(still) == {i for i in left if after[i] < wanted}
