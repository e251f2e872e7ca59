"""Which intervals say something about what the model servers can do."""

from __future__ import annotations

from typing import Any

import pytest
from support.rows import sampled


def test_a_quiet_interval_is_not_disturbed() -> None:
    assert not sampled(1000.0).is_disturbed
    assert not sampled(1000.0, in_flight=7, answers=3).is_disturbed


@pytest.mark.parametrize("what", [{"down_s": 0.1}, {"waiting": 1}])
def test_an_interval_with_an_outage_or_with_waiting_requests_is_disturbed(
    what: dict[str, Any],
) -> None:
    assert sampled(1000.0, **what).is_disturbed
