"""The night as a timeline: what was under way, how the server did, and what went wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.page.sections.subject import Subject
from orchestrator.page.sections.table import Table
from orchestrator.report.timeline import (
    ADMITTED,
    KV_CACHE,
    RUNNING,
    TOKENS,
    UNDER_WAY,
    WAITING,
    Measure,
    Timeline,
    timeline_of,
)
from orchestrator.report.words import amount, counted, duration
from orchestrator.types import GradeRecord, RolloutRecord

FINE, COARSE = 180, 60
"""Columns of a wide picture, and of a narrow one."""


@dataclass(frozen=True)
class Series:
    """A measure over time; None where no server was up, or nobody looked."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Panel:
    """Measures of one unit: the first is drawn as an area, a second as a line."""

    name: str
    series: tuple[Series, ...]

    @property
    def top(self) -> float:
        return max((v for one in self.series for v in one.values if v is not None), default=0.0)


@dataclass(frozen=True)
class Outage:
    """Seconds on the night's clock."""

    start: float
    end: float


@dataclass(frozen=True)
class Mishap:
    """A rollout or grade that failed, at a moment of the night's clock."""

    clock: float
    was_redone: bool


@dataclass(frozen=True)
class NightView:
    seconds: float
    left_out_s: float
    """Between sessions."""
    session_starts: tuple[float, ...]
    """Of later sessions, on the clock."""
    fine: tuple[Panel, ...]
    coarse: tuple[Panel, ...]
    """The same in fewer columns."""
    outages: tuple[Outage, ...]
    mishaps: tuple[Mishap, ...]

    @property
    def label(self) -> str:
        outages = counted(len(self.outages), "outage")
        mishaps = counted(len(self.mishaps), "failure")
        sessions = counted(len(self.session_starts) + 1, "session")
        return f"{duration(self.seconds)} in {sessions}, with {outages} and {mishaps}"

    @property
    def how(self) -> str:
        """How to read the picture."""
        parts = [
            "Each point is the mean over its stretch of time. Admitted: how many rollouts the "
            "server was thought to be worth."
        ]
        if self.left_out_s:
            parts.append(
                f"Dashed lines part sessions; {duration(self.left_out_s)} between them are left "
                "out."
            )
        return " ".join(parts)

    @property
    def table(self) -> Table:
        rows = []
        for panel in self.fine:
            for series in panel.series:
                known = [value for value in series.values if value is not None]
                if known:
                    mean = sum(known) / len(known)
                    rows.append((series.name, *map(amount, (min(known), mean, max(known)))))
        return Table.of("What was sampled", ("measure", "lowest", "mean", "highest"), rows)


PANELS: tuple[tuple[str, tuple[Measure, ...]], ...] = (
    ("rollouts", (UNDER_WAY, ADMITTED)),
    ("requests at the server", (RUNNING, WAITING)),
    ("tokens generated a second", (TOKENS,)),
    ("KV cache in use, %", (KV_CACHE,)),
)


def build_night(subject: Subject) -> NightView | None:
    """None where nothing was sampled: no model was asked, or an older version ran."""
    samples = subject.state.samples
    fine, coarse = timeline_of(samples, FINE), timeline_of(samples, COARSE)
    if fine is None or coarse is None:
        return None
    return NightView(
        fine.seconds,
        fine.left_out_s,
        tuple(one.start for one in fine.placed if one.is_first)[1:],
        tuple(_panels(fine)),
        tuple(_panels(coarse)),
        tuple(_outages(fine)),
        tuple(_mishaps(subject, fine)),
    )


def _panels(timeline: Timeline) -> Iterator[Panel]:
    """Those of which anything is known."""
    for name, measures in PANELS:
        series = [Series(m.name, tuple(m.values(timeline.columns))) for m in measures]
        known = tuple(one for one in series if any(value is not None for value in one.values))
        if known:
            yield Panel(name, known)


def _outages(timeline: Timeline) -> Iterator[Outage]:
    """Stretches of samples in which no server was up for most of the time."""
    start: float | None = None
    for one in timeline.placed:
        is_down = one.sample.down_s > one.sample.seconds / 2
        if is_down and start is None:
            start = one.start
        elif not is_down and start is not None:
            yield Outage(start, one.start)
            start = None
    if start is not None:
        yield Outage(start, timeline.seconds)


def _mishaps(subject: Subject, timeline: Timeline) -> Iterator[Mishap]:
    """In the order in which they came."""
    state, left = subject.state, set(subject.report.failure_ids)
    rollouts = [(r, r.key.attempt < state.attempts[r.instance_id]) for r in state.rollouts]
    grades = [(grade, grade.instance_id not in left) for grade in state.grades]
    rows: list[tuple[RolloutRecord | GradeRecord, bool]] = [*rollouts, *grades]
    for row, was_redone in sorted(rows, key=lambda one: (one[0].ended_at, one[0].instance_id)):
        clock = timeline.clock(row.ended_at)
        if row.failure is not None and clock is not None:
            yield Mishap(clock, was_redone)
