from __future__ import annotations

import pytest

from orchestrator.report.words import amount, compact, duration, duration_range


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (950, "950"),
        (999, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (99_960, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (4_560_000, "4.56 M"),
        (2.5e10, "25.0 G"),
    ],
)
def test_a_count_has_three_digits_and_a_unit(count: float, expected: str) -> None:
    assert compact(count) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.001, "0"),
        (0.123, "0.12"),
        (2.999, "3"),
        (7.77, "7.8"),
        (9.97, "10"),
        (120, "120"),
        (1234.5, "1,234"),
    ],
)
def test_an_amount_has_the_decimals_that_say_something(value: float, expected: str) -> None:
    assert amount(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "0 s"),
        (12, "12 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (172_799, "47 h 59 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 0, "1 s"),
        (0.2, 4, "10 s"),
        (3, 45, "10 to 50 s"),
        (20, 88, "1 to 2 min"),
        (30, 200, "1 to 4 min"),
        (720, 1080, "12 to 18 min"),
        (800, 850, "14 min"),
        (3000, 5000, "50 min to 1 h 30 min"),
        (7200, 10_800, "2 to 3 h"),
        (12_000, 18_000, "3 h 20 min to 5 h"),
        (12_000, 19_200, "3 h 20 min to 5 h 20 min"),
        (12_000, 12_500, "3 h 20 min"),
        (3600 * 30, 3600 * 60, "30 h to 2 d 12 h"),
        (1, 1e6, "1 h to 11 d 14 h"),
    ],
)
def test_a_range_of_time_has_one_unit_where_it_can_and_is_one_number_once_it_is_narrow(
    low: float, high: float, words: str
) -> None:
    assert duration_range(low, high) == words
