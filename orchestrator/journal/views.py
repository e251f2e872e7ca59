"""What a journal says, as frozen rows and pure questions about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.journal.bounds import MAX_FAILURES, counts
from orchestrator.types import (
    Choice,
    Decision,
    Failure,
    GradeRecord,
    Instance,
    ModelRequest,
    RolloutKey,
    RolloutRecord,
)


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
class RunState:
    """Everything that the journal holds, in the order in which it was written."""

    run_id: str
    instances: Mapping[str, str]
    """Instance id to repo, in the run's order."""
    rollouts: Sequence[RolloutRecord] = ()
    grades: Sequence[GradeRecord] = ()
    sessions: Sequence[SessionRow] = ()
    requests: Sequence[ModelRequest] = ()
    samples: Sequence[LoadSample] = ()
    decisions: Sequence[Decision] = ()
    ends_at: tuple[float, float] | None = None
    """Between which times the last session expected to be done, seconds since the epoch; None where
    it did not know. Worth something while that session lives."""

    @classmethod
    def of_new(
        cls, run_id: str, instances: Sequence[Instance], rollouts: Sequence[RolloutRecord] = ()
    ) -> RunState:
        """What the journal of a run says that has just been started."""
        repos = {instance.instance_id: instance.repo for instance in instances}
        return cls(run_id, repos, rollouts)

    @cached_property
    def outcomes(self) -> Mapping[str, RolloutRecord]:
        """The rollout that counts, of every instance that has one."""
        return {row.instance_id: row for row in self.rollouts if row.outcome is not None}

    @cached_property
    def requests_of(self) -> Mapping[RolloutKey, Sequence[ModelRequest]]:
        """The requests of every rollout that made any, in the order in which they ended."""
        found: dict[RolloutKey, list[ModelRequest]] = defaultdict(list)
        for request in self.requests:
            found[request.key].append(request)
        return dict(found)

    @cached_property
    def attempts(self) -> Mapping[str, int]:
        """The highest attempt recorded, by instance."""
        highest: dict[str, int] = defaultdict(int)
        for row in self.rollouts:
            highest[row.instance_id] = max(highest[row.instance_id], row.key.attempt)
        return highest

    @cached_property
    def verdicts(self) -> Mapping[str, GradeRecord]:
        """The verdict on the patch that counts, by instance."""
        return {
            row.instance_id: row
            for row in self.grades
            if row.resolved is not None and self._is_of_current_patch(row)
        }

    def _is_of_current_patch(self, grade: GradeRecord) -> bool:
        rollout = self.outcomes.get(grade.instance_id)
        return rollout is not None and (
            (rollout.key, rollout.patch_sha256) == (grade.key, grade.patch_sha256)
        )

    @cached_property
    def failures(self) -> Mapping[str, Failure]:
        """What stands between an instance and its verdict: its last failure."""
        found: dict[str, Failure] = {}
        for rollout in self.rollouts:
            if rollout.failure is not None and rollout.instance_id not in self.outcomes:
                found[rollout.instance_id] = rollout.failure
        for grade in self.grades:
            if grade.failure is not None and grade.instance_id not in self.verdicts:
                found[grade.instance_id] = grade.failure
        return found

    @cached_property
    def failure_counts(self) -> Mapping[str, int]:
        """How many failures that count stand between each instance and its verdict: rollouts where
        it has no outcome, and grades of the patch that counts."""
        found: dict[str, int] = defaultdict(int)
        for row in self.rollouts:
            found[row.instance_id] += row.instance_id not in self.outcomes and counts(row.failure)
        for grade in self.grades:
            found[grade.instance_id] += self._is_of_current_patch(grade) and counts(grade.failure)
        return found

    @cached_property
    def _standing(self) -> Mapping[str, Decision]:
        """A person's last decision on every instance, where it is on what lies there now."""
        last = {decision.instance_id: decision for decision in self.decisions}
        return {
            instance_id: decision
            for instance_id, decision in last.items()
            if decision.patch_sha256 == self.patch_sha256(instance_id)
        }

    def patch_sha256(self, instance_id: str) -> str:
        """Of the patch that counts; empty where there is no outcome."""
        outcome = self.outcomes.get(instance_id)
        return outcome.patch_sha256 if outcome is not None else ""

    @cached_property
    def decided(self) -> Mapping[str, Decision]:
        """Instances without a verdict that a person counts as unresolved. A verdict goes before."""
        return {
            instance_id: decision
            for instance_id, decision in self._standing.items()
            if decision.choice is Choice.UNRESOLVED and instance_id in self.without_verdict
        }

    @cached_property
    def set_aside(self) -> Mapping[str, int]:
        """Instances that are not redone before a person decides, and how often each has failed."""
        found = {}
        for instance_id in self.without_verdict:
            decision = self._standing.get(instance_id)
            failures = self.failure_counts[instance_id]
            since = failures - (decision.failures if decision else 0)
            if since >= MAX_FAILURES and instance_id not in self.decided:
                found[instance_id] = failures
        return found

    @cached_property
    def without_verdict(self) -> frozenset[str]:
        """Instances that need a rollout or a grade still."""
        ungraded = set(self.ungraded)
        return frozenset(i for i in self.instances if i not in self.outcomes or i in ungraded)

    @cached_property
    def unfinished(self) -> frozenset[str]:
        """Instances that are left to do: without verdict, and neither decided nor set aside."""
        return self.without_verdict - self.decided.keys() - self.set_aside.keys()

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
