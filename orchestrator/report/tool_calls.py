"""What a run's calls of functions came to: numbers from a journal's rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RolloutCalls:
    """The calls of one attempt."""

    instance_id: str
    attempt: int
    calls: int
    problems: Mapping[str, int]
    """By `CallProblem`."""


@dataclass(frozen=True)
class ToolCalls:
    """A run's calls of functions; its fields are keys of report.json. They count as in
    `CallCounts`, over all attempts."""

    calls: int
    broken: int
    """Calls that could not be used."""
    problems: Mapping[str, int]
    """Those by `CallProblem`."""
    details: Mapping[str, int]
    """What was wrong most often, in words."""
    rollouts_with_trouble: int
    """Attempts with a broken call."""
    rollouts: tuple[RolloutCalls, ...]
    """Attempts in which a model was asked for calls."""
