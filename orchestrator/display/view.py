"""The view model: where a run, or several together, stand at this moment. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.driver.executor import Event, ImageStatus, ModelStatus, Remark
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.driver.time_left import TimeRange
from orchestrator.journal.views import RunState
from orchestrator.report.names import OUTCOME_WORDS, Mark, named
from orchestrator.report.stats import wilson
from orchestrator.report.words import amount, counted, duration
from orchestrator.types import GradeResult, Outcome, RolloutKey, RolloutRecord, RolloutResult
from orchestrator.worker.messages import ImageGone, Progress

ENDED = "■"
"""Before the line of a rollout that has ended; what came of it, its grade says."""


@dataclass
class Slot:
    """One rollout or grade under way."""

    stage: Stage
    key: RolloutKey
    since: float
    phase: str = "starts"
    steps: int = 0
    activity: str = ""
    broken_calls: int = 0


def not_known(_now: float) -> TimeRange | None:
    """Nobody says how much time is left."""
    return None


@dataclass
class View:
    """Counts and slots, over all runs of a session. Times are of the clock whose values are passed
    in."""

    name: str
    """Of the run, or what people call several."""
    instances: int
    """Of all runs together: one that two runs have counts twice."""
    started_at: float
    rolled_out: int = 0
    to_grade: int = 0
    verdicts: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Run and instance id to whether it is resolved."""
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slots: dict[tuple[Stage, RolloutKey], Slot] = field(default_factory=dict)
    notice: str = ""
    """Why nothing is admitted, or that a stop was asked for."""
    models: dict[str, str] = field(default_factory=dict)
    """How each model serves just now."""
    images: ImageStatus = field(default_factory=ImageStatus)
    """How the images come just now."""
    time_left: Callable[[float], TimeRange | None] = not_known
    """At a moment; None where that is not known."""
    _run_ids: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        *states: RunState,
        now: float,
        name: str = "",
        time_left: Callable[[float], TimeRange | None] = not_known,
    ) -> View:
        """Where runs stand before they go on."""
        outcomes = [row for state in states for row in state.outcomes.values()]
        return cls(
            name=name or ", ".join(state.run_id for state in states),
            instances=sum(len(state.instances) for state in states),
            started_at=now,
            rolled_out=len(outcomes),
            to_grade=sum(row.has_patch for row in outcomes),
            verdicts={
                (state.run_id, instance_id): bool(row.resolved)
                for state in states
                for instance_id, row in state.verdicts.items()
            },
            outcomes=Counter(str(row.outcome) for row in outcomes),
            time_left=time_left,
            _run_ids=frozenset(state.run_id for state in states),
        )

    @property
    def has_several_runs(self) -> bool:
        return len(self._run_ids) > 1

    @property
    def model_lines(self) -> tuple[str, ...]:
        """How each model serves just now."""
        return tuple(self.models.values())

    def apply(self, event: Event | Start, now: float) -> None:
        if isinstance(event, Start):
            phase = "grading" if event.stage is Stage.GRADE else "starts"
            self.slots[event.stage, event.key] = Slot(event.stage, event.key, now, phase)
        elif isinstance(event, Progress):
            slot = self.slots.get((Stage.ROLLOUT, event.key))
            if slot is not None:
                slot.phase, slot.steps = event.phase, event.steps
                slot.activity, slot.broken_calls = event.activity, event.broken_calls
        elif isinstance(event, ModelStatus):
            self.models[event.model] = event.text
        elif isinstance(event, ImageStatus):
            self.images = event
        elif isinstance(event, ImageGone):
            for stage in Stage:  # it starts again
                self.slots.pop((stage, event.key), None)
        elif isinstance(event, RolloutResult):
            self.slots.pop((Stage.ROLLOUT, event.key), None)
            self._count_rollout(event)
        elif isinstance(event, GradeResult):
            self.slots.pop((Stage.GRADE, event.key), None)
            self._count_grade(event)

    def _count_rollout(self, event: RolloutResult) -> None:
        if event.failure is not None:
            self.failures[str(event.failure.kind)] += 1
            return
        self.rolled_out += 1
        self.outcomes[str(event.outcome)] += 1
        self.to_grade += event.record.has_patch

    def _count_grade(self, event: GradeResult) -> None:
        if event.failure is not None:
            self.failures[str(event.failure.kind)] += 1
            return
        self.verdicts[event.key.run_id, event.key.instance_id] = bool(event.resolved)

    @property
    def graded(self) -> int:
        return len(self.verdicts)

    @property
    def resolved(self) -> int:
        return sum(self.verdicts.values())

    @property
    def decided(self) -> int:
        """Instances with a verdict: graded, or without a patch."""
        return self.graded + self.rolled_out - self.to_grade

    @property
    def rate(self) -> tuple[float, float, float]:
        """Resolve rate of those decided so far, and its 95% interval."""
        decided = max(self.decided, self.resolved)
        low, high = wilson(self.resolved, decided)
        return (self.resolved / decided if decided else 0.0), low, high

    def name_of(self, key: RolloutKey) -> str:
        """Of a rollout or grade, for people: its instance, with its run where there are several."""
        return f"{key.run_id} {key.instance_id}" if self.has_several_runs else key.instance_id


def describe(event: Event | Start, view: View) -> str | None:
    """An event as one plain line; None for events that need none."""
    if isinstance(event, Remark):
        return event.text
    if not isinstance(event, RolloutResult | GradeResult):
        return None
    name = view.name_of(event.key)
    if event.failure is not None:
        what = f"{named(event.failure.kind)}: {event.failure.detail}"
        return f"{Mark.NO_VERDICT} {name}: {what}"
    if isinstance(event, GradeResult):
        if event.resolved:
            return f"{Mark.RESOLVED} {name}: resolved"
        assert event.record.reason is not None, "a verdict rests on something"
        return f"{Mark.UNRESOLVED} {name}: unresolved, {named(event.record.reason)}"
    salvaged = ", patch salvaged" if event.record.salvaged else ""
    nothing = "" if event.record.has_patch else ", no patch"
    assert event.outcome is not None, "it is no failure"
    how = f"{named(event.outcome)} after {counted(event.record.usage.steps, 'step')}"
    return f"{ENDED} {name}: {how}{salvaged}{nothing}{_trouble(event.record)}"


def _trouble(record: RolloutRecord) -> str:
    """`, 40 of 52 tool calls broken`, or of answers in text; empty where all could be used."""
    calls, unusable = record.calls, record.unusable_answers
    if calls is not None and calls.broken:
        return f", {calls.broken} of {counted(calls.calls, 'tool call')} broken"
    return f", {counted(unusable, 'answer')} without an action" if unusable else ""


def image_words(status: ImageStatus) -> str:
    """`pulling 2 images: 1.2 of 3.4 GB, 25 MB/s, there in 1 min 28 s; 3 ready`; empty where none
    comes."""
    if not status.pulling:
        return ""
    images = "1 image" if status.pulling == 1 else f"{status.pulling} images"
    about = "about " if status.is_estimated else ""
    unit, size = ("GB", 1e9) if status.total >= 1e9 else ("MB", 1e6)
    came, total = (amount(count / size) for count in (status.came, status.total))
    line = f"pulling {images}: {came} of {about}{total} {unit}"
    if status.left_s is not None:
        line += f", {amount(status.bytes_per_s / 1e6)} MB/s"
        line += f", there in {about}{duration(status.left_s)}"
    return f"{line}; {status.ready} ready" if status.ready else line


def outcome_words(counts: Mapping[str, int]) -> str:
    """`5 submitted, 2 out of steps`, in the order of the outcomes' definition."""
    order = [str(outcome) for outcome in Outcome]
    names = sorted(counts, key=lambda name: order.index(name) if name in order else len(order))
    return ", ".join(f"{counts[name]} {OUTCOME_WORDS[name]}" for name in names)
