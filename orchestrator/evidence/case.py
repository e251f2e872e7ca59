"""One instance as the taxonomy's rules look at it: facts that are derived once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from orchestrator.evidence.facts import Evidence, TestKind, TestResult
from orchestrator.evidence.patches import ChangedFile, files_of
from orchestrator.evidence.spoofing import rejected, signs
from orchestrator.types import GradeReason, Outcome

LOOP_ROUNDS = 3
"""How often a loop has come round at the least, when the rollout ends in it. OpenHands and
`rollout.loop_limit` end rollouts that early."""
MIN_LOOPING_STEPS = 8
"""Of a rollout that went in circles without ending in them."""
MAX_LOOP_PERIOD = 4
"""Steps after which a loop comes round again: `a b a b` has two."""
LOOPING_SHARE = 0.5
"""Of the steps: a rollout that did one and the same thing in so many went in circles."""
UNUSABLE_SHARE = 0.5
"""Of the answers: where so many held no action, the format is the cause."""


@dataclass(frozen=True)
class EvidenceCase:
    """Questions about the evidence of one instance."""

    evidence: Evidence

    @property
    def outcome(self) -> Outcome | None:
        rollout = self.evidence.rollout
        return rollout.outcome if rollout else None

    @property
    def is_submitted(self) -> bool:
        """By the agent itself, and not taken from its sandbox."""
        rollout = self.evidence.rollout
        return rollout is not None and self.outcome is Outcome.SUBMITTED and not rollout.salvaged

    @property
    def reason(self) -> GradeReason | None:
        return self.evidence.grade.reason if self.evidence.grade else None

    @property
    def is_unresolved(self) -> bool:
        """By a verdict: the harness's, or that of an outcome without a patch."""
        if self.evidence.grade is not None:
            return self.evidence.grade.resolved is False
        return self.outcome is not None and not self.has_edit

    @cached_property
    def files(self) -> tuple[ChangedFile, ...]:
        return files_of(self.evidence.patch)

    @cached_property
    def gold_files(self) -> frozenset[str]:
        return frozenset(file.path for file in files_of(self.evidence.gold_patch))

    @cached_property
    def test_files(self) -> frozenset[str]:
        """Those that the benchmark's own tests change."""
        return frozenset(file.path for file in files_of(self.evidence.gold_test_patch))

    @cached_property
    def gold_files_edited(self) -> tuple[str, ...]:
        return tuple(file.path for file in self.files if file.path in self.gold_files)

    @cached_property
    def source_files(self) -> tuple[ChangedFile, ...]:
        """Files of the patch that are neither tests nor reproductions. What the gold patch changes
        is neither, whatever it is called."""
        return tuple(
            file
            for file in self.files
            if file.path in self.gold_files
            or not (file.path in self.test_files or file.is_test or file.is_reproduction)
        )

    @property
    def has_edit(self) -> bool:
        return self.evidence.rollout is not None and self.evidence.rollout.has_patch

    @property
    def has_source_edit(self) -> bool:
        """Files that can't be read count as such."""
        return self.has_edit and (bool(self.source_files) or not self.files)

    def failing(self, kind: TestKind) -> tuple[TestResult, ...]:
        return tuple(t for t in self.evidence.tests_of(kind) if not t.passed)

    def number(self, kind: TestKind) -> int:
        return len(self.evidence.tests_of(kind))

    @cached_property
    def loop(self) -> str:
        """How the rollout went in circles, in words; empty where it did not."""
        steps = [(s.action.strip(), s.observation) for s in self.evidence.steps]
        for period in range(1, MAX_LOOP_PERIOD + 1):
            times = _rounds(steps, period)
            if times >= LOOP_ROUNDS:
                what = "one command" if period == 1 else f"the same {period} commands"
                return f"{what} {times} times in a row at its end, with the same output"
        commands = Counter(step for step in steps if step[0])
        if len(steps) >= MIN_LOOPING_STEPS and commands:
            _, times = commands.most_common(1)[0]
            if times >= LOOPING_SHARE * len(steps):
                return f"one command {times} times in {len(steps)} steps, with the same output"
        return ""

    @cached_property
    def unusable(self) -> tuple[int, int]:
        """How many answers held no action, and of how many."""
        rollout = self.evidence.rollout
        if rollout is None:
            return 0, 0
        return rollout.unusable_answers, max(rollout.usage.steps, rollout.unusable_answers)

    @cached_property
    def rejected(self) -> str:
        """Why the harness does not believe the tests' output."""
        return rejected(self.evidence)

    @cached_property
    def spoofed(self) -> str:
        """The same, and what in the patch may have written it."""
        signs_of_it = signs(self.evidence, self.files, self.gold_files)
        return "; ".join(filter(None, (self.rejected, *signs_of_it)))

    @property
    def facts(self) -> Mapping[str, bool | int | str]:
        """What holds of it beside its cause."""
        evidence = self.evidence
        found: dict[str, bool | int | str] = {
            "submitted": self.is_submitted,
            "edited": self.has_edit,
            "edited_source": self.has_source_edit,
            "looped": bool(self.loop),
            "files": len(self.files),
        }
        if self.gold_files:
            found["gold_files"] = len(self.gold_files)
            found["gold_files_edited"] = len(self.gold_files_edited)
        for kind in TestKind if evidence.tests else ():
            found[f"{kind.lower()}_tests"] = self.number(kind)
            found[f"{kind.lower()}_failing"] = len(self.failing(kind))
        return found


def _rounds(steps: list[tuple[str, str]], period: int) -> int:
    """How often the last `period` steps stand at the end, one after the other."""
    last = steps[-period:]
    if len(last) < period or not all(action for action, _ in last):
        return 0
    times = 1
    while steps[len(steps) - (times + 1) * period : len(steps) - times * period] == last:
        times += 1
        if (times + 1) * period > len(steps):
            break
    return times
