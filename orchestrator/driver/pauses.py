"""How failures in a row stop what would fail too, for a while. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.types import FailureKind

FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
NO_REASON_TO_PAUSE = (
    FailureKind.ENDPOINT_UNAVAILABLE,
    FailureKind.INTERRUPTED,
    FailureKind.AGENT_CRASHED,
    FailureKind.SANDBOX_BROKEN,
    FailureKind.REQUEST_REFUSED,
    FailureKind.TESTS_TOO_SLOW,
    FailureKind.INTERNAL_ERROR,
    FailureKind.SHARED_WORKER_LOST,
)
"""Failures that don't count towards a pause: not the host's fault, not mended by waiting, or of all
that ran at once."""


@dataclass
class Pause:
    """The last one of rollouts, or of grades. Times are seconds on any one clock that does not go
    backwards."""

    failures: int = 0
    """In a row, until now."""
    since: float = 0.0
    until: float = 0.0

    def count(self, failure: FailureKind | None, tolerated: int, now: float) -> None:
        """A success ends a pause; as many failures in a row as are tolerated begin one."""
        if failure is None:
            self.failures, self.until = 0, 0.0
            return
        self.failures += 1
        doublings = self.failures - tolerated
        if doublings >= 0:
            seconds = min(FIRST_PAUSE_S * 2**doublings, LONGEST_PAUSE_S)
            if self.until <= now:
                self.since = now
            self.until = max(self.until, now + seconds)

    def may_run(self, slots: int, tolerated: int, now: float) -> int:
        """How many at once: all slots, none, or one to probe after a pause."""
        if now < self.until:
            return 0
        return 1 if self.failures >= tolerated else slots
