from __future__ import annotations

import pytest

from orchestrator.report.words import amount, compact, duration


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
