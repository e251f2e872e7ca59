"""What rollouts and grades are expected to take: what earlier runs say, and what this session's
show as they end. Pure.

The best that is known of an instance is its own past, then its repository's. As a session's own
end, three things are learned: by which factor all take longer or shorter than the past says
(another model, a busier server), how much of what the past tells apart was chance, and how far each
repository is apart. Where nothing is known, all take as long as those that have ended, and before
that as long as a profile guesses.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from orchestrator.backends.host import Host
from orchestrator.config.schema import RunConfig
from orchestrator.driver.capacity import grading_s, rollout_s
from orchestrator.driver.scheduler import Stage
from orchestrator.driver.time_left import Known
from orchestrator.driver.work_queue import Turn, as_they_came
from orchestrator.journal.past import PastRuns, PastSeconds
from orchestrator.types import GradeResult, Instance, RolloutKey, RolloutRecord, RolloutResult

SHORTEST_S = 1e-3
LONGEST_LOG = math.log(1e9)
"""Of seconds."""
MOST_SPREAD = 2.0
PAST_COUNTS = 4.0
"""The past says as much of a stage's speed as so many that have ended."""
SPREAD = 0.5
"""Of the logarithm of what is taken over what is expected, before anything has ended."""
SPREAD_COUNTS = 6.0
"""It counts as much as so many that have ended."""
LIKELY_PATCHED = 3.0
"""That nearly all rollouts end with a patch counts as much as so many that did."""
REPO_COUNTS = 2.0
"""That a repository is like the others counts as much as so many of it."""
FACTOR_WEIGHT = 0.5
"""Of what the past says, that the factor is 1: such as half of one that has ended."""
SLOPE, SLOPE_WEIGHT = 0.7, 2.0
"""What of a difference in the past is one still; and the weight of that."""


@dataclass
class Durations:
    """Of one stage, of rollouts or grades that are alike: one model and agent's, or all grades.

    Seconds, without outages and pulls. The logarithm of what is taken is a line over the logarithm
    of what the past says, fitted with a prior (ridge regression): a past of one rollout is partly
    chance, so that what took long takes less long again.
    """

    repos: Mapping[str, str]
    """By instance id."""
    past: PastSeconds = field(default_factory=PastSeconds)
    guess_s: float = 60.0
    """Of one, where nothing is known."""
    ended: int = 0
    _squares: float = 0.0
    """Of logarithms: what was taken over what was expected when it ended."""
    _all: _Sums = field(default_factory=lambda: _Sums())
    _of_repos: defaultdict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))

    def add(self, instance_id: str, seconds: float) -> None:
        """One has ended."""
        taken = math.log(max(seconds, SHORTEST_S)) - self._usual
        before = self._before(instance_id)
        self._squares += (taken - self._log_median(instance_id)) ** 2
        self.ended += 1
        self._all.add(before, taken)
        self._of_repos[self.repos.get(instance_id, "")].add(before, taken)

    @property
    def is_known(self) -> bool:
        """Whether anything but a guess says how long one takes."""
        return self.ended > 0 or bool(self.past.of_repos)

    @property
    def known(self) -> Known:
        """How well."""
        return Known(self.spread, self.ended + (PAST_COUNTS if self.past.of_repos else 1.0))

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of what is taken over what is expected."""
        squares = SPREAD_COUNTS * SPREAD**2 + self._squares
        return min(MOST_SPREAD, math.sqrt(squares / (SPREAD_COUNTS + self.ended)))

    def expected_s(self, instance_id: str) -> float:
        """Of one that is to be done, on average; more than 0."""
        log_mean = self._usual + self._log_median(instance_id) + self.spread**2 / 2
        return math.exp(min(LONGEST_LOG, log_mean))

    def _log_median(self, instance_id: str) -> float:
        """What one takes, over what is usual."""
        factor, slope = self._line
        of_repo = self._of_repos.get(self.repos.get(instance_id, ""), _Sums())
        apart = (of_repo.taken - of_repo.count * factor - slope * of_repo.before) / (
            of_repo.count + REPO_COUNTS
        )
        return factor + slope * self._before(instance_id) + apart

    @property
    def _line(self) -> tuple[float, float]:
        """Its height and its slope."""
        known, sums = bool(self.past.of_repos), self._all
        weight = FACTOR_WEIGHT if known else 1e-9
        count, taken = sums.count + weight, sums.taken - weight * SPREAD**2 / 2  # a mean's median
        squares = sums.squares + SLOPE_WEIGHT
        products = sums.products + SLOPE_WEIGHT * SLOPE
        determinant = count * squares - sums.before**2
        slope = (count * products - sums.before * taken) / determinant
        slope = min(1.0, max(0.0, slope))
        return (taken - slope * sums.before) / count, slope

    def _before(self, instance_id: str) -> float:
        """The logarithm of what the past says over what is usual; 0 where it says nothing."""
        found = self.past.of_instances.get(instance_id)
        if found is None:
            found = self.past.of_repos.get(self.repos.get(instance_id, ""))
        return 0.0 if found is None else math.log(max(found, SHORTEST_S)) - self._usual

    @cached_property
    def _usual(self) -> float:
        """The logarithm of what is usual by the past, or by a guess."""
        known = [math.log(max(s, SHORTEST_S)) for s in self.past.of_repos.values()]
        return fmean(known) if known else math.log(max(self.guess_s, SHORTEST_S))


@dataclass
class _Sums:
    """Of logarithms, over what is usual."""

    count: int = 0
    before: float = 0.0
    taken: float = 0.0
    squares: float = 0.0
    """Of what was before."""
    products: float = 0.0

    def add(self, before: float, taken: float) -> None:
        self.count += 1
        self.before += before
        self.taken += taken
        self.squares += before**2
        self.products += before * taken


@dataclass
class SessionDurations:
    """Of all runs of a session."""

    rollouts: Mapping[str, Durations]
    """By run id; runs of one model and agent have the same."""
    grades: Durations
    longest_rollouts_first: bool = False
    """Whether rollouts that wait start in that order: not where their images have to come, nor
    where a run is to be in its own order."""
    rolled: int = 0
    patched: int = 0
    """Rollouts of this session that came to an outcome, and those of them with a patch."""

    @property
    def patch_chance(self) -> float:
        """That a rollout is graded after it."""
        return (self.patched + LIKELY_PATCHED) / (self.rolled + LIKELY_PATCHED + 0.3)

    def of(self, stage: Stage, run_id: str) -> Durations:
        return self.grades if stage is Stage.GRADE else self.rollouts[run_id]

    def expected_s(self, stage: Stage, key: RolloutKey) -> float:
        """What one takes."""
        return self.of(stage, key.run_id).expected_s(key.instance_id)

    def turn(self, stage: Stage) -> Turn:
        """Of those that wait: the longest first. All runs of an instance have one turn, by the
        longest of them, and so stay side by side."""
        if stage is Stage.ROLLOUT and not self.longest_rollouts_first:
            return as_they_came
        kinds = self._kinds if stage is Stage.ROLLOUT else [self.grades]
        return lambda key: -max(kind.expected_s(key.instance_id) for kind in kinds)

    @property
    def _kinds(self) -> list[Durations]:
        """Of rollouts, each once."""
        return list({id(kind): kind for kind in self.rollouts.values()}.values())

    def take(self, event: RolloutResult | GradeResult) -> None:
        """Learn from one that has ended; a failure says nothing."""
        record = event.record
        if record.failure is not None:
            return
        seconds = record.ended_at - record.started_at - record.phases_s.get("image", 0.0)
        if isinstance(record, RolloutRecord):
            seconds -= record.usage.held_s
            self.rolled, self.patched = self.rolled + 1, self.patched + record.has_patch
        stage = Stage.ROLLOUT if isinstance(record, RolloutRecord) else Stage.GRADE
        if seconds >= 0:  # else this host's clock was set back meanwhile
            self.of(stage, record.key.run_id).add(record.instance_id, seconds)


def make_durations(
    configs: Sequence[RunConfig],
    instances: Sequence[Instance],
    past: PastRuns,
    host: Host,
    *,
    longest_rollouts_first: bool = False,
) -> SessionDurations:
    """Of a session's runs, before anything has ended."""
    repos = {instance.instance_id: instance.repo for instance in instances}
    kinds: dict[tuple[str, str], Durations] = {}
    rollouts = {}
    for config in configs:
        names = config.model.name if config.model else "", config.agent_name
        made = Durations(repos, past.rollouts(*names), rollout_s(config))
        rollouts[config.run_id] = kinds.setdefault(names, made)
    grades = Durations(repos, past.grades, max(grading_s(config, host) for config in configs))
    return SessionDurations(rollouts, grades, longest_rollouts_first)
