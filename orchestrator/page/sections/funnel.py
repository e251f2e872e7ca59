"""From all instances to the resolved ones, and where each step loses some. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.page.sections.subject import Subject
from orchestrator.page.sections.table import Table
from orchestrator.report.names import FAILURE_WORDS, OUTCOME_WORDS
from orchestrator.report.words import share_of
from orchestrator.types import GradeReason


@dataclass(frozen=True)
class Stage:
    """Instances that came this far."""

    name: str
    count: int
    lost: str = ""
    """Who did not come further than the stage before, in words; empty where all did."""


@dataclass(frozen=True)
class Ending:
    """A way in which rollouts ended, or what keeps instances from a verdict."""

    name: str
    words: str
    count: int
    is_failure: bool = False


@dataclass(frozen=True)
class Funnel:
    instances: int
    stages: tuple[Stage, ...]
    endings: tuple[Ending, ...]

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


def _stages(subject: Subject) -> Iterator[Stage]:
    report, state = subject.report, subject.state
    with_patch = [i for i, row in state.outcomes.items() if row.has_patch]
    broken = sum(
        verdict.reason is GradeReason.PATCH_DOES_NOT_APPLY for verdict in state.verdicts.values()
    )
    ungraded = len(with_patch) - len(state.verdicts)
    applied = len(state.verdicts) - broken
    yield Stage("instances", report.instances)
    yield Stage(
        "attempted",
        report.attempted,
        _lost((report.instances - report.attempted, "without an outcome")),
    )
    yield Stage("left a patch", len(with_patch), _lost((report.empty, "changed nothing")))
    yield Stage(
        "patch applied",
        applied,
        _lost((broken, "did not apply"), (ungraded, "not graded")),
    )
    yield Stage(
        "resolved", report.resolved, _lost((applied - report.resolved, "with failing tests"))
    )


def _lost(*parts: tuple[int, str]) -> str:
    return ", ".join(f"{count:,} {words}" for count, words in parts if count)


def _endings(subject: Subject) -> Iterator[Ending]:
    """The most first, outcomes before failures."""
    report = subject.report
    for name, count in _most_first(report.outcomes):
        yield Ending(name, OUTCOME_WORDS[name], count)
    for name, count in _most_first(report.failures):
        yield Ending(name, FAILURE_WORDS[name], count, is_failure=True)


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
