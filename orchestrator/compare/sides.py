"""What is compared: each side's verdicts, and what else is known of it, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Costs:
    """Of all rollouts of a side, failed ones too. Seconds of rollouts, added up."""

    tokens: int
    seconds: float


@dataclass(frozen=True)
class Side:
    """One of those that are compared.

    `shares` are the resolved shares of its attempts, by instance; None where one of them has no
    verdict. Of published results, resolved instances alone are named: `unnamed` is how many more
    there were.
    """

    name: str
    kind: str
    """In words: a run, runs of a matrix, published results, a report of predictions."""
    shares: Mapping[str, float | None]
    unnamed: int = 0
    attempts: int = 1
    """At each instance."""
    benchmark: str = ""
    """Its names, which must have one in common with the other's; empty where nobody says it."""
    benchmark_names: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the number depends on, by key: settings, versions, servers."""
    costs: Costs | None = None
    trajectories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By instance: the files of its attempts' trajectories."""
    pages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By instance: links into the runs' report.html, where that is there."""
    warnings: tuple[str, ...] = ()

    @property
    def instances(self) -> int:
        """Named or not."""
        return len(self.shares) + self.unnamed

    @property
    def resolved(self) -> float:
        """Instances; of several attempts, on average."""
        return sum(share or 0.0 for share in self.shares.values())
