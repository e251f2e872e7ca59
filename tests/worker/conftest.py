"""Rollouts in process sandboxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import RunConfig
from orchestrator.types import Instance, RolloutResult


@pytest.fixture
def roll(
    play: Callable[..., RolloutResult], instance: Instance, tmp_path: Path
) -> Callable[..., RolloutResult]:
    """Runs one rollout to its result: `roll(config)`, with more as `play` takes it."""

    def run(config: RunConfig, *, of: Instance = instance, **more: Any) -> RolloutResult:
        result = play(config, of, "process", tmp_path, **more)
        assert list(tmp_path.glob("scratch/*")) == [], "the sandbox is removed on every way out"
        return result

    return run
