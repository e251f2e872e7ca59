"""What gold patches have shown of a host's grading, and what that says of a run's number. Pure.

A gold patch is right by the benchmark's own word. Where the harness does not say so on this host,
the host can't grade the instance, or not reliably, whoever's patch it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from orchestrator.journal.views import RunState
from orchestrator.report.images import same_image
from orchestrator.report.stats import wilson
from orchestrator.report.words import counted, interval_words


class GradingTerms(BaseModel):
    """What a verdict depends on beside the patch, the row, the image and the host's processors."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    harness: str
    """Its version."""
    limit_s: int
    """Of the tests."""
    memory_gb: float
    network: bool


class GoldTrial(BaseModel):
    """One grade of an instance's gold patch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    resolved: bool
    why: str = ""
    """Why not, in one line."""
    image: str
    """As `RolloutRecord.image` has it."""
    terms: GradingTerms
    seconds: float = 0.0
    run_id: str
    """Of the round: its folder holds the tests' output."""
    at: float
    """When it ended, in seconds since the epoch. With `run_id` it tells one trial from others."""

    def holds_for(self, image: str, terms: GradingTerms) -> bool:
        """Whether it says something of a grade of another patch, on this image and these terms.

        What was resolved is so with more time and memory, and what was not is not with less.
        """
        same = (self.terms.harness, self.terms.network) == (terms.harness, terms.network)
        if not same or not same_image(self.image, image):
            return False
        less, more = (self.terms, terms) if self.resolved else (terms, self.terms)
        return less.limit_s <= more.limit_s and less.memory_gb <= more.memory_gb


class Gradable(StrEnum):
    """Whether a host can grade an instance, as its gold patch shows."""

    OK = "ok"
    NOT_GRADABLE = "not_gradable"
    FLICKERS = "flickers"


GRADABLE_WORDS: Mapping[Gradable, str] = {
    Gradable.OK: "can be graded here",
    Gradable.NOT_GRADABLE: "can't be graded here",
    Gradable.FLICKERS: "flickers",
}


@dataclass(frozen=True)
class GoldStanding:
    """What the trials of one instance come to."""

    instance_id: str
    gradable: Gradable
    resolved: int
    trials: int
    why: str = ""
    """Of the last trial that was not resolved."""
    run_id: str = ""
    """Of that trial."""

    @property
    def words(self) -> str:
        """`flickers: resolved 1 of 3 times; tests: 1 of 2 fail`."""
        if self.gradable is Gradable.OK:
            return GRADABLE_WORDS[self.gradable]
        times = f"resolved {self.resolved} of {counted(self.trials, 'time')}"
        return f"{GRADABLE_WORDS[self.gradable]}: gold {times}; {self.why}"


def standing_of(instance_id: str, trials: Sequence[GoldTrial]) -> GoldStanding | None:
    """None where there was no trial."""
    if not trials:
        return None
    resolved = sum(trial.resolved for trial in trials)
    gradable = Gradable.FLICKERS
    if resolved in (0, len(trials)):
        gradable = Gradable.OK if resolved else Gradable.NOT_GRADABLE
    lost = next((trial for trial in reversed(trials) if not trial.resolved), None)
    return GoldStanding(
        instance_id,
        gradable,
        resolved,
        len(trials),
        lost.why if lost else "",
        lost.run_id if lost else "",
    )


@dataclass(frozen=True)
class Calibrated:
    """A run's rate over the instances that its host can grade; its fields are keys of report.json.

    It stands beside the rate over all of them, and never in its place. What nobody has calibrated
    counts as gradable.
    """

    instances: int
    resolved: int
    resolve_rate: float
    ci95: tuple[float, float]
    left_out: Mapping[str, str]
    """Instance to why, be it resolved or not."""
    calibrated: int
    """Of all instances of the run, those whose gold patches were graded on such a host."""

    @property
    def words(self) -> str:
        if not self.left_out:
            gold = f"{self.calibrated:,} of {self.instances:,} calibrated"
            return f"the same, as every gold patch was resolved ({gold})"
        return (
            f"{self.resolved:,} of {self.instances:,} ({self.resolve_rate:.1%}, 95% interval "
            f"{interval_words(self.ci95)}); {len(self.left_out):,} left out of "
            f"{self.calibrated:,} calibrated"
        )


def calibrated_of(
    state: RunState, resolved: Iterable[str], standings: Mapping[str, GoldStanding]
) -> Calibrated | None:
    """None where nobody has calibrated any instance of the run."""
    known = {i: standings[i] for i in state.instances if i in standings}
    if not known:
        return None
    left_out = {i: s.words for i, s in known.items() if s.gradable is not Gradable.OK}
    instances = len(state.instances) - len(left_out)
    counted_in = len(set(resolved) - left_out.keys())
    return Calibrated(
        instances,
        counted_in,
        counted_in / instances if instances else 0.0,
        wilson(counted_in, instances),
        dict(sorted(left_out.items())),
        len(known),
    )
