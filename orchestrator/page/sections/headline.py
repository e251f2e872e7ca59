"""The number, how sure it is, whether it may be quoted, and what it stands beside. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.page.sections.subject import Subject
from orchestrator.page.sections.table import Table
from orchestrator.report.calibration import Calibrated
from orchestrator.report.intervals import interval_lines
from orchestrator.report.names import what_ran
from orchestrator.report.published import Published
from orchestrator.report.stats import wilson
from orchestrator.report.validity import Validity
from orchestrator.report.words import compact, counted, duration, interval_words


@dataclass(frozen=True)
class Result:
    """A resolve rate, of this run or of a published one. Shares are of 1."""

    name: str
    resolved: int
    instances: int
    source: str = ""
    is_this_run: bool = False

    @property
    def rate(self) -> float:
        return self.resolved / self.instances if self.instances else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95 %."""
        return wilson(self.resolved, self.instances)


@dataclass(frozen=True)
class Headline:
    title: str
    """The benchmark, and who ran on it."""
    result: Result
    validity: Validity
    facts: tuple[tuple[str, str], ...]
    """Names and amounts: what a person asks next."""
    certainty: tuple[str, ...]
    """Of what the rate is an estimate, and how sure; then what was left out."""
    beside: tuple[Result, ...]
    """Published results of the benchmark."""
    has_begun: bool = True
    """Whether any instance was tried: of nothing there is no rate."""
    calibrated: Calibrated | None = None
    """The rate over what this host can grade: beside the raw one, never instead."""

    @property
    def rate(self) -> str:
        return f"{self.result.rate:.1%}"

    @property
    def counts(self) -> str:
        return f"{self.result.resolved:,} of {counted(self.result.instances, 'instance')} resolved"

    @property
    def interval(self) -> str:
        return interval_words(self.result.interval)

    @property
    def beside_words(self) -> str:
        """Of what the published results are, and of what this one is."""
        if not self.beside:
            return ""
        words = "Published results are their authors' own figures, and were not reproduced here."
        instances = self.result.instances
        if all(one.instances == instances for one in self.beside):
            return words
        return f"{words} Not all are of the same {counted(instances, 'instance')} as this run."

    @property
    def results(self) -> tuple[Result, ...]:
        """All, the best first."""
        return tuple(sorted((self.result, *self.beside), key=lambda one: (-one.rate, one.name)))

    @property
    def label(self) -> str:
        return "Resolve rates with 95 % intervals. " + "; ".join(map(_words, self.results))

    @property
    def table(self) -> Table:
        rows = [
            (
                one.name,
                f"{one.resolved:,} of {one.instances:,}",
                f"{one.rate:.1%}",
                interval_words(one.interval),
                one.source,
            )
            for one in self.results
        ]
        titles = ("result", "resolved", "rate", "95% interval", "source")
        return Table.of("Resolve rates", titles, rows)


def _words(result: Result) -> str:
    return f"{result.name}: {result.rate:.1%}, {interval_words(result.interval)}"


def build_headline(subject: Subject) -> Headline:
    report = subject.report
    return Headline(
        title=what_ran(report.benchmark, report.agent, report.model),
        result=Result("this run", report.resolved, report.instances, is_this_run=True),
        validity=report.validity,
        has_begun=bool(subject.state.rollouts),
        calibrated=report.calibrated,
        certainty=interval_lines(report.intervals, report.subset),
        facts=tuple(_facts(subject)),
        beside=tuple(
            Result(one.name, one.resolved, one.instances, _source(one)) for one in subject.published
        ),
    )


def _source(published: Published) -> str:
    return ", ".join(filter(None, (published.source, published.date)))


def _facts(subject: Subject) -> Iterator[tuple[str, str]]:
    report = subject.report
    yield "attempted", f"{report.attempted:,} of {report.instances:,}"
    yield "graded", f"{report.graded:,}"
    if report.decided:
        yield "decided by a person", f"{len(report.decided):,}"
    if report.failure_ids:
        yield "without a verdict", f"{len(report.failure_ids):,}"
    yield "wall clock", duration(report.wall_s)
    if report.tokens["total"]:
        yield "tokens", compact(report.tokens["total"])
        if report.resolved:
            yield "tokens per resolved", compact(report.tokens["total"] / report.resolved)
