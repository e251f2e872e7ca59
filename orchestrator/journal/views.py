"""What a journal says, as frozen rows and pure questions about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.journal.model_requests import TraceRow
from orchestrator.types import FailureKind, GradeReason, ModelRequest, Outcome, Usage


@dataclass(frozen=True)
class SessionRow:
    """One launch or resume; `ended_at` None means that it lives or was killed."""

    started_at: float
    ended_at: float | None
    last_seen_at: float

    @property
    def seconds(self) -> float:
        return (self.ended_at or self.last_seen_at) - self.started_at


@dataclass(frozen=True)
class RolloutRow:
    instance_id: str
    attempt: int
    outcome: Outcome | None
    failure: FailureKind | None
    detail: str
    salvaged: bool
    patch_sha256: str
    patch_bytes: int
    usage: Usage
    started_at: float
    ended_at: float
    phases_s: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def has_patch(self) -> bool:
        return self.patch_bytes > 0


@dataclass(frozen=True)
class GradeRow:
    instance_id: str
    attempt: int
    patch_sha256: str
    resolved: bool | None
    reason: GradeReason | None
    failure: FailureKind | None
    detail: str
    started_at: float
    ended_at: float
    phases_s: Mapping[str, float]


@dataclass(frozen=True)
class RunState:
    """Everything that the journal holds, in the order in which it was written."""

    run_id: str
    instances: Mapping[str, str]
    """Instance id to repo, in the run's order."""
    rollouts: Sequence[RolloutRow] = ()
    grades: Sequence[GradeRow] = ()
    sessions: Sequence[SessionRow] = ()
    requests: Sequence[ModelRequest] = ()
    trace: Sequence[TraceRow] = ()

    @cached_property
    def outcomes(self) -> Mapping[str, RolloutRow]:
        """The rollout that counts, of every instance that has one."""
        return {row.instance_id: row for row in self.rollouts if row.outcome is not None}

    @cached_property
    def attempts(self) -> Mapping[str, int]:
        """The highest attempt recorded, by instance."""
        highest: dict[str, int] = defaultdict(int)
        for row in self.rollouts:
            highest[row.instance_id] = max(highest[row.instance_id], row.attempt)
        return highest

    @cached_property
    def verdicts(self) -> Mapping[str, GradeRow]:
        """The verdict on the patch that counts, by instance."""
        return {
            row.instance_id: row
            for row in self.grades
            if row.resolved is not None and self._is_of_current_patch(row)
        }

    def _is_of_current_patch(self, grade: GradeRow) -> bool:
        rollout = self.outcomes.get(grade.instance_id)
        return rollout is not None and (rollout.attempt, rollout.patch_sha256) == (
            grade.attempt,
            grade.patch_sha256,
        )

    @cached_property
    def failures(self) -> Mapping[str, tuple[FailureKind, str]]:
        """What stands between an instance and its verdict: the last failure, and its detail."""
        found: dict[str, tuple[FailureKind, str]] = {}
        for rollout in self.rollouts:
            if rollout.failure is not None and rollout.instance_id not in self.outcomes:
                found[rollout.instance_id] = (rollout.failure, rollout.detail)
        for grade in self.grades:
            if grade.failure is not None and grade.instance_id not in self.verdicts:
                found[grade.instance_id] = (grade.failure, grade.detail)
        return found

    @property
    def ungraded(self) -> tuple[str, ...]:
        """Instances with a patch and no verdict on their rollout."""
        return tuple(
            instance_id
            for instance_id, row in self.outcomes.items()
            if row.has_patch and instance_id not in self.verdicts
        )

    @property
    def wall_s(self) -> float:
        return sum(session.seconds for session in self.sessions)
