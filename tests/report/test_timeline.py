from __future__ import annotations

import pytest
from support.rows import sampled

from orchestrator.report.timeline import Timeline, timeline_of

SAMPLES = [sampled(110), sampled(120), sampled(130), sampled(10_010), sampled(10_020)]
"""From 100 to 130, and from 10,000 to 10,020."""


def timeline() -> Timeline:
    found = timeline_of(SAMPLES, 10)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("at", "clock"),
    [
        (100, 0),
        (105, 5),
        (120, 20),
        (130, 30),
        (140, 30),  # just after the first session
        (9_995, 30),  # just before the second
        (10_005, 35),
        (10_020, 50),
        (10_030, 50),
        (5_000, None),
        (20_000, None),
    ],
)
def test_a_moment_has_its_place_on_the_clock_or_none(at: float, clock: float | None) -> None:
    assert timeline().clock(at) == clock


def test_the_clock_never_goes_back() -> None:
    places = [timeline().clock(at) for at in range(0, 11_000, 7)]
    known = [place for place in places if place is not None]

    assert known == sorted(known)
    assert 0 <= known[0] <= known[-1] <= timeline().seconds


def test_without_samples_there_is_no_timeline() -> None:
    assert timeline_of([], 10) is None
    assert timeline_of([sampled(1, seconds=0)], 10) is None
