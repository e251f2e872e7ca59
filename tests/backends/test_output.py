"""How much of a command's output is kept."""

from __future__ import annotations

import pytest

from orchestrator.backends.output import CappedOutput


@pytest.mark.parametrize("sizes", [[10], [3, 3, 4], [1] * 10, [4, 6], [9, 1]])
def test_output_at_the_limit_is_kept_whole(sizes: list[int]) -> None:
    capped, data = CappedOutput(10), iter(b"0123456789")
    for size in sizes:
        capped.add(bytes(next(data) for _ in range(size)))

    assert capped.value() == b"0123456789"


def test_output_over_the_limit_says_how_much_is_left_out() -> None:
    capped = CappedOutput(4)
    for byte in b"0123456789":
        capped.add(bytes([byte]))

    assert capped.value() == b"01\n[... 6 bytes left out ...]\n89"
