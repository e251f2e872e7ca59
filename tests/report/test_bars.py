from __future__ import annotations

import pytest

from orchestrator.report.bars import cells_of, interval_bar, large


@pytest.mark.parametrize(
    ("parts", "width", "expected"),
    [
        ([8, 3, 1], 40, [27, 10, 3]),
        ([299, 0, 1], 40, [39, 0, 1]),
        ([1, 298, 1], 40, [1, 38, 1]),
        ([300, 0, 0], 40, [40, 0, 0]),
        ([0, 0, 0], 40, [0, 0, 0]),
        ([1, 1, 10_000], 3, [1, 1, 1]),
        ([1, 1, 1], 40, [14, 13, 13]),
    ],
)
def test_every_part_that_counts_at_all_has_a_cell(
    parts: list[int], width: int, expected: list[int]
) -> None:
    assert cells_of(parts, width) == expected


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.25, 0.5, 0.75, "┄┄┄├━━●━━┤┄┄┄"),
        (0.0, 0.0, 0.25, "●━━┤┄┄┄┄┄┄┄┄┄"),
        (0.75, 1.0, 1.0, "┄┄┄┄┄┄┄┄┄├━━●"),
        (0.0, 0.0, 1.0, "●━━━━━━━━━━━┤"),
        (0.5, 0.5, 0.5, "┄┄┄┄┄┄●┄┄┄┄┄┄"),
    ],
)
def test_an_interval_is_drawn_from_0_to_100_percent(
    low: float, value: float, high: float, expected: str
) -> None:
    assert interval_bar(low, value, high, 13) == expected


@pytest.mark.parametrize("number", ["0.0%", "25.8%", "39.1%", "46.7%", "100.0%"])
def test_a_large_number_is_three_lines_of_one_length(number: str) -> None:
    lines = large(number)

    assert len({len(line) for line in lines}) == 1
    assert not set("".join(lines)) - set(" ▀▄█")
