"""Why instances were not resolved, with examples. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from orchestrator.evidence.facts import Finding
from orchestrator.evidence.taxonomy import RULES
from orchestrator.page.sections.subject import Subject

EXAMPLES = 3


@dataclass(frozen=True)
class CauseExample:
    instance_id: str
    because: str


@dataclass(frozen=True)
class CauseRow:
    words: str
    explanation: str
    count: int
    examples: tuple[CauseExample, ...]
    """The first few of the run."""


@dataclass(frozen=True)
class Causes:
    unresolved: int
    rows: tuple[CauseRow, ...]
    """The most frequent first."""
    spoofed: tuple[CauseExample, ...]
    """Instances whose test output is not to be believed, resolved ones too, and why."""

    @property
    def most(self) -> int:
        """Of one cause."""
        return max((row.count for row in self.rows), default=0)


def build_causes(subject: Subject) -> Causes | None:
    """None where nobody looked, or nothing was found."""
    by_cause: dict[str, list[Finding]] = defaultdict(list)
    for finding in _in_order(subject):
        if finding.cause is not None:
            by_cause[finding.cause].append(finding)
    rows = [
        CauseRow(
            rule.words,
            rule.explanation,
            len(found),
            tuple(CauseExample(one.instance_id, one.because) for one in found[:EXAMPLES]),
        )
        for rule in RULES
        if (found := by_cause[rule.cause])
    ]
    rows.sort(key=lambda row: -row.count)
    spoofed = tuple(
        CauseExample(one.instance_id, one.spoofed) for one in _in_order(subject) if one.spoofed
    )
    if not rows and not spoofed:
        return None
    return Causes(sum(row.count for row in rows), tuple(rows), spoofed)


def _in_order(subject: Subject) -> list[Finding]:
    return [subject.findings[i] for i in subject.state.instances if i in subject.findings]
