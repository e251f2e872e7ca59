"""What rollouts and grades are expected to take: what earlier runs say, and what this session's
show as they end. Pure.

The best that is known of an instance is its own past, then its repository's. As a session's own
end, two things are learned: by which factor all take longer or shorter than the past says (another
model, a busier server), and what each repository takes, as far as it has no past of the instance
itself. Where nothing is known, all take as long as those that have ended, and before that as long
as a profile guesses.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.backends.host import Host
from orchestrator.config.schema import RunConfig
from orchestrator.driver.capacity import grading_s, rollout_s
from orchestrator.driver.scheduler import Stage
from orchestrator.driver.work_queue import Turn, as_they_came
from orchestrator.journal.past import PastRuns, PastSeconds
from orchestrator.types import GradeResult, Instance, RolloutKey, RolloutRecord, RolloutResult

GUESSES = 2.0
"""A guess, or another's past, counts as much as so many that have ended."""
MOST_TIMES = 1000.0
"""As long as expected before the session, or as short; more is no matter of speed."""
SPREAD = 0.5
"""Of the logarithm of what is taken over what is expected, before anything has ended."""
SPREAD_COUNTS = 6.0
"""It counts as much as so many that have ended."""


@dataclass
class Durations:
    """Of one stage, of rollouts or grades that are alike: one model and agent's, or all grades.

    Seconds, without outages and pulls.
    """

    repos: Mapping[str, str]
    """By instance id."""
    past: PastSeconds = field(default_factory=PastSeconds)
    guess_s: float = 60.0
    """Of one, where nothing is known."""
    ended: int = 0
    _taken_s: float = 0.0
    _expected_s: float = 0.0
    """Of those that have ended, by what was known before the session."""
    _of_repos: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _squares: float = 0.0
    """Of logarithms: what was taken over what was expected when it ended."""

    def add(self, instance_id: str, seconds: float) -> None:
        """One has ended."""
        seconds = max(seconds, 1e-3)
        self._squares += math.log(seconds / self.expected_s(instance_id)) ** 2
        self.ended += 1
        self._taken_s += seconds
        self._expected_s += self._before_s(instance_id)
        self._of_repos[self.repos.get(instance_id, "")].append(seconds)

    @property
    def is_known(self) -> bool:
        """Whether anything but a guess says how long one takes."""
        return self.ended > 0 or bool(self.past.of_repos)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of what is taken over what is expected."""
        squares = SPREAD_COUNTS * SPREAD**2 + self._squares
        return math.sqrt(squares / (SPREAD_COUNTS + self.ended))

    def expected_s(self, instance_id: str) -> float:
        """Of one that is to be done; more than 0."""
        prior_s = self._factor * self._before_s(instance_id)
        repo = self.repos.get(instance_id, "")
        if instance_id in self.past.of_instances or repo not in self._of_repos:
            return prior_s
        taken = self._of_repos[repo]
        return (sum(taken) + GUESSES * prior_s) / (len(taken) + GUESSES)

    @property
    def _factor(self) -> float:
        """How many times as long as expected before the session all take, by those that ended."""
        usual_s = self._expected_s / self.ended if self.ended else 1.0
        weight_s = GUESSES * usual_s if self.past.of_repos else 0.0
        factor = (self._taken_s + weight_s) / (self._expected_s + weight_s) if self.ended else 1.0
        return min(MOST_TIMES, max(1 / MOST_TIMES, factor))

    def _before_s(self, instance_id: str) -> float:
        """By what was known before the session."""
        past = self.past
        found = past.of_instances.get(instance_id)
        if found is None:
            found = past.of_repos.get(self.repos.get(instance_id, ""), self._usual_s)
        return max(found, 1e-3)

    @property
    def _usual_s(self) -> float:
        """Of repositories without a past."""
        known = self.past.of_repos.values()
        return sum(known) / len(known) if known else self.guess_s


@dataclass(frozen=True)
class SessionDurations:
    """Of all runs of a session."""

    rollouts: Mapping[str, Durations]
    """By run id; runs of one model and agent have the same."""
    grades: Durations
    longest_rollouts_first: bool = False
    """Whether rollouts that wait start in that order: not where their images have to come, nor
    where a run is to be in its own order."""

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
        stage = Stage.ROLLOUT if isinstance(record, RolloutRecord) else Stage.GRADE
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
