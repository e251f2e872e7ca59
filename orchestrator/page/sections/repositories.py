"""What came of each repository's instances. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.page.sections.subject import Subject
from orchestrator.page.sections.table import Table
from orchestrator.report.stats import wilson
from orchestrator.report.words import counted, interval_words


@dataclass(frozen=True)
class Repository:
    name: str
    resolved: int
    instances: int
    interval: tuple[float, float]
    """Wilson's, of 95 %; shares of 1."""

    @property
    def rate(self) -> float:
        return self.resolved / self.instances


@dataclass(frozen=True)
class Repositories:
    """The largest first."""

    rate: float
    """Of all instances."""
    rows: tuple[Repository, ...]

    @property
    def label(self) -> str:
        return "Resolved by repository. " + "; ".join(
            f"{row.name}: {row.resolved} of {row.instances}" for row in self.rows
        )

    @property
    def table(self) -> Table:
        rows = [
            (
                row.name,
                f"{row.instances:,}",
                f"{row.resolved:,}",
                f"{row.rate:.1%}",
                interval_words(row.interval),
            )
            for row in self.rows
        ]
        titles = ("repository", "instances", "resolved", "rate", "95% interval")
        return Table.of(f"Resolved in {counted_repositories(len(rows))}", titles, rows)


def counted_repositories(count: int) -> str:
    return counted(count, "repository") if count == 1 else f"{count:,} repositories"


def build_repositories(subject: Subject) -> Repositories:
    rows = [
        Repository(
            name, row["resolved"], row["instances"], wilson(row["resolved"], row["instances"])
        )
        for name, row in subject.report.by_repo.items()
    ]
    rows.sort(key=lambda row: (-row.instances, row.name))
    return Repositories(subject.report.resolve_rate, tuple(rows))
