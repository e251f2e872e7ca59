"""From all instances to the resolved ones, and where each step loses some. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.page.sections.subject import Subject
from orchestrator.page.sections.table import Table
from orchestrator.report.names import FAILURE_WORDS, OUTCOME_WORDS
from orchestrator.report.words import most_first, share_of
from orchestrator.types import GradeReason


@dataclass(frozen=True)
class FunnelStage:
    """Instances that came this far."""

    name: str
    count: int
    lost: str = ""
    """Who did not come further than the stage before, in words; empty where all did."""


@dataclass(frozen=True)
class EndingCount:
    """A way in which rollouts ended, or what keeps instances from a verdict."""

    name: str
    words: str
    count: int
    is_failure: bool = False


@dataclass(frozen=True)
class Funnel:
    instances: int
    stages: tuple[FunnelStage, ...]
    endings: tuple[EndingCount, ...]

    @property
    def label(self) -> str:
        return "; ".join(f"{stage.name}: {stage.count:,}" for stage in self.stages)

    @property
    def table(self) -> Table:
        rows = [(s.name, f"{s.count:,}", share_of(s.count, self.instances)) for s in self.stages]
        return Table.of("How far the instances came", ("stage", "instances", "of all"), rows)


def build_funnel(subject: Subject) -> Funnel:
    report = subject.report
    return Funnel(report.instances, tuple(_stages(subject)), tuple(_endings(subject)))


def _stages(subject: Subject) -> Iterator[FunnelStage]:
    report, state = subject.report, subject.state
    with_patch = [i for i, row in state.outcomes.items() if row.has_patch]
    broken = sum(
        verdict.reason is GradeReason.PATCH_DOES_NOT_APPLY for verdict in state.verdicts.values()
    )
    ungraded = len(with_patch) - len(state.verdicts)
    applied = len(state.verdicts) - broken
    yield FunnelStage("instances", report.instances)
    yield FunnelStage(
        "attempted",
        report.attempted,
        _lost((report.instances - report.attempted, "without an outcome")),
    )
    yield FunnelStage("left a patch", len(with_patch), _lost((report.empty, "changed nothing")))
    yield FunnelStage(
        "patch applied",
        applied,
        _lost((broken, "did not apply"), (ungraded, "not graded")),
    )
    yield FunnelStage(
        "resolved", report.resolved, _lost((applied - report.resolved, "with failing tests"))
    )


def _lost(*parts: tuple[int, str]) -> str:
    return ", ".join(f"{count:,} {words}" for count, words in parts if count)


def _endings(subject: Subject) -> Iterator[EndingCount]:
    """The most first, outcomes before failures."""
    report = subject.report
    for name, count in most_first(report.outcomes).items():
        yield EndingCount(name, OUTCOME_WORDS[name], count)
    for name, count in most_first(report.failures).items():
        yield EndingCount(name, FAILURE_WORDS[name], count, is_failure=True)
