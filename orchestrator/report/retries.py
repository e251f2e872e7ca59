"""What was redone, and after which failure. Pure.

Only a failure is redone, which is the world's doing and of a kind that is fixed beforehand
(`types.FailureKind`): never an outcome, and never a verdict. `driver/scheduler` and `driver/plan`
hold that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.journal.views import RunState
from orchestrator.report.names import FAILURE_WORDS
from orchestrator.report.words import counted, most_first


@dataclass(frozen=True)
class Retries:
    """How often something was redone, by the failure before; its fields are keys of report.json."""

    rollouts: Mapping[str, int]
    grades: Mapping[str, int]

    @property
    def words(self) -> str:
        """`3 rollouts (the worker was lost: 2, no sandbox: 1), 1 grade (…)`; empty: nothing."""
        parts = (("rollout", self.rollouts), ("grade", self.grades))
        return ", ".join(_words(noun, causes) for noun, causes in parts if causes)


def _words(noun: str, causes: Mapping[str, int]) -> str:
    why = ", ".join(f"{FAILURE_WORDS[kind]}: {count:,}" for kind, count in causes.items())
    return f"{counted(sum(causes.values()), noun)} ({why})"


def retries_of(state: RunState) -> Retries:
    """Count the failures that another attempt, or another grade of the same patch, came after."""
    rollouts, grades = Counter[str](), Counter[str]()
    for row in state.rollouts:
        if row.failure is not None and row.key.attempt < state.attempts[row.instance_id]:
            rollouts[row.failure.kind] += 1
    last = {(row.key, row.patch_sha256): n for n, row in enumerate(state.grades)}
    for n, grade in enumerate(state.grades):
        if grade.failure is not None and n < last[grade.key, grade.patch_sha256]:
            grades[grade.failure.kind] += 1
    return Retries(most_first(rollouts), most_first(grades))
