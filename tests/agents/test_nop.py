"""`nop` changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import RunConfig
from orchestrator.types import Instance, Outcome, RolloutResult

pytestmark = pytest.mark.slow


def test_it_takes_one_step_and_has_no_patch(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
) -> None:
    result = play(make_config("nop"), instance, "process", tmp_path)

    assert (result.outcome, result.patch) == (Outcome.GAVE_UP, "")
    assert result.record.usage.steps == 1
    assert not result.record.salvaged
    assert result.files == {}, "no steps were recorded"
