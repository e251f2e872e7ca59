"""Nights whose long rollouts start first end near the bound that their own durations allow."""

from __future__ import annotations

import pytest

from simulation.tails import past_of, play, tail_of

COUNT, SLOTS = 100, 8


@pytest.mark.slow
def test_a_night_ends_near_its_bound_by_a_rough_past_and_by_what_it_learns_itself() -> None:
    before = play(COUNT, 2, SLOTS)
    unordered = tail_of(before, SLOTS)
    past = past_of(before, 1.5, seed=2)

    found = tail_of(play(COUNT, 2, SLOTS, past=past, longest_first=True), SLOTS)
    learned = tail_of(play(COUNT, 2, SLOTS, longest_first=True), SLOTS)

    assert 1.0 <= found.over_bound <= 1.05
    assert 1.0 <= learned.over_bound <= 1.05
    assert max(found.wall_s, learned.wall_s) < unordered.wall_s
    assert found.lone_s < unordered.lone_s / 2
