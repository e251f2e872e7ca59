"""The view model: where a run stands at this moment, and its ETA. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.driver.executor import Event, ImageStatus, ModelStatus, Remark
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.journal.views import RunState
from orchestrator.report.stats import wilson
from orchestrator.report.words import amount, counted, duration
from orchestrator.types import GradeResult, Outcome, RolloutKey, RolloutRecord, RolloutResult
from orchestrator.worker.messages import ImageGone, Progress


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


@dataclass
class View:
    """Counts and slots. Times are of the clock whose values are passed in."""

    run_id: str
    instances: int
    started_at: float
    rolled_out: int = 0
    to_grade: int = 0
    verdicts: dict[str, bool] = field(default_factory=dict)
    """Instance id to whether it is resolved."""
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slots: dict[tuple[Stage, RolloutKey], Slot] = field(default_factory=dict)
    notice: str = ""
    """Why nothing is admitted, or that a stop was asked for."""
    model: str = ""
    """How the model serves just now."""
    images: ImageStatus = field(default_factory=ImageStatus)
    """How the images come just now."""
    _rolled_out_at_start: int = 0

    @classmethod
    def of(cls, state: RunState, now: float) -> View:
        """Where a run stands before it goes on."""
        patched = sum(row.has_patch for row in state.outcomes.values())
        return cls(
            run_id=state.run_id,
            instances=len(state.instances),
            started_at=now,
            rolled_out=len(state.outcomes),
            to_grade=patched,
            verdicts={key: bool(row.resolved) for key, row in state.verdicts.items()},
            outcomes=Counter(str(row.outcome) for row in state.outcomes.values()),
            _rolled_out_at_start=len(state.outcomes),
        )

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
            self.model = event.text
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
        self.verdicts[event.key.instance_id] = bool(event.resolved)

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

    def eta_s(self, now: float) -> float | None:
        """Seconds left at the pace of this session; None before there is one."""
        done = self.rolled_out - self._rolled_out_at_start
        left = self.instances - self.rolled_out
        if left <= 0:
            return 0.0
        return (now - self.started_at) / done * left if done else None


def describe(event: Event | Start) -> str | None:
    """An event as one plain line; None for events that need none."""
    if isinstance(event, Remark):
        return event.text
    if isinstance(event, RolloutResult):
        if event.failure is not None:
            return f"{event.key.instance_id}: {event.failure.kind}: {event.failure.detail}"
        salvaged = ", patch salvaged" if event.record.salvaged else ""
        nothing = "" if event.record.has_patch else ", no patch"
        how = f"{event.outcome} after {counted(event.record.usage.steps, 'step')}"
        return f"{event.key.instance_id}: {how}{salvaged}{nothing}{_trouble(event.record)}"
    if isinstance(event, GradeResult):
        if event.failure is not None:
            return f"{event.key.instance_id}: {event.failure.kind}: {event.failure.detail}"
        word = "RESOLVED" if event.resolved else "not resolved"
        return f"{event.key.instance_id}: {word} ({event.record.reason})"
    return None


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
    """`5 submitted, 2 step_limit`, in the order of the outcomes' definition."""
    order = [str(outcome) for outcome in Outcome]
    names = sorted(counts, key=lambda name: order.index(name) if name in order else len(order))
    return ", ".join(f"{counts[name]} {name}" for name in names)
