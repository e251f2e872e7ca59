"""How long a session has still to go: a range, of its rollouts and grades that are left. Pure.

The rest of the session is played some times. In each, what waits takes what is expected times a
draw of its spread, and what runs takes a draw of those that are longer than it has taken so far;
rollouts fill their lane's slots, and grades theirs as rollouts end. How well the expectation itself
is known varies from one play to the next. The draws are evenly spread sequences and not random
numbers (M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018), so that few
plays do, and the same question has the same answer. Not played: failures, pulls and outages.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

PLAYS = 16
LEFT_OUT = 1
"""At either end, of what the plays come to."""
DOUBT = 2.3
"""Times the error that so many independent ones would leave: those of a repository are alike, and
what is left is not quite like what has ended. With it the truth was within the range in 83 to 92 %
of moments, in simulated nights of all kinds."""
LEAST_S = 1.0
"""Of what is left; it is over only once it is over."""
JUST_BEGUN_S = 1e-6
STEPS = 1024
_NORMAL = NormalDist()
_QUANTILES = tuple(_NORMAL.inv_cdf((n + 0.5) / STEPS) for n in range(STEPS))
_BY_TASK, _BY_PLAY = 0.7548776662466927, 0.5698402909980532
"""Powers of 1 / the plastic number: see Roberts."""


@dataclass(frozen=True)
class TimeRange:
    """Seconds."""

    low_s: float
    high_s: float


@dataclass(frozen=True)
class Task:
    """A rollout or a grade that is left."""

    expected_s: float
    elapsed_s: float | None = None
    """None: it waits."""
    grade_s: float = 0.0
    """Expected of the grade that comes after it, times the chance that one does."""

    @property
    def run_s(self) -> float:
        """For how long it has run, or next to nothing."""
        return max(self.elapsed_s or 0.0, JUST_BEGUN_S)


@dataclass(frozen=True)
class Known:
    """How well durations of a stage are known."""

    spread: float
    """Standard deviation of the logarithm of what one takes over what is expected."""
    counts: float
    """What the expectation rests on: so many that have ended."""

    @property
    def error(self) -> float:
        """Standard deviation of the logarithm of what is expected over what it should be."""
        return DOUBT * self.spread / math.sqrt(self.counts)


@dataclass(frozen=True)
class LaneLeft:
    """Rollouts that share slots, in the order in which they start."""

    slots: int
    tasks: Sequence[Task]


@dataclass(frozen=True)
class SessionLeft:
    """All that is left to do in a session, and what it has for that."""

    lanes: Sequence[LaneLeft]
    grades: Sequence[Task]
    """Of rollouts that have ended."""
    grade_slots: int
    """Now."""
    most_grade_slots: int
    """When no rollout runs any more."""
    rollouts_known: Known
    grades_known: Known


def time_left(left: SessionLeft) -> TimeRange | None:
    """None where nothing is left."""
    if not left.grades and not any(lane.tasks for lane in left.lanes):
        return None
    rollouts = [task for lane in left.lanes for task in lane.tasks]
    pace = _pace(rollouts, left.rollouts_known), _pace(left.grades, left.grades_known)
    ends = sorted(_play(left, number, *pace) for number in range(PLAYS))[LEFT_OUT:-LEFT_OUT]
    return TimeRange(max(LEAST_S, ends[0]), max(LEAST_S, ends[-1]))


def _play(left: SessionLeft, number: int, rollout_pace: float, grade_pace: float) -> float:
    """When all is over, in one play."""
    # each stage is faster or slower than expected by an amount of its own
    middle = (number + 0.5) / PLAYS
    rollouts = _Draws(left.rollouts_known, number, middle, rollout_pace)
    grades = _Draws(left.grades_known, number, (middle + _BY_TASK) % 1.0, grade_pace)
    arrivals: list[tuple[float, float]] = []
    """When rollouts end, and what their grades take."""
    for lane in left.lanes:
        free, waiting = _begun(lane.slots, lane.tasks, rollouts)
        arrivals += [(end, task.grade_s) for end, task in free]
        slots = [end for end, _ in free] + [0.0] * max(0, lane.slots - len(free))
        heapq.heapify(slots)
        for task in waiting:
            end = slots[0] + rollouts.take(task.expected_s)
            heapq.heapreplace(slots, end)
            arrivals.append((end, task.grade_s))
    rolled_s = max((end for end, _ in arrivals), default=0.0)
    return max(rolled_s, _graded_s(left, arrivals, rolled_s, grades))


def _graded_s(
    left: SessionLeft, arrivals: list[tuple[float, float]], rolled_s: float, draws: _Draws
) -> float:
    """When the last grade is over."""
    running, waiting = _begun(left.grade_slots, left.grades, draws)
    slots = [end for end, _ in running]
    slots += [0.0] * (left.grade_slots - len(slots))
    slots += [rolled_s] * (left.most_grade_slots - len(slots))
    heapq.heapify(slots)
    to_come = [(0.0, task.expected_s) for task in waiting] + sorted(arrivals)
    for at, expected_s in to_come:
        if expected_s > 0:
            begins = max(at, slots[0])
            heapq.heapreplace(slots, begins + draws.take(expected_s))
    return max(slots, default=0.0)


def _begun(
    slots: int, tasks: Sequence[Task], draws: _Draws
) -> tuple[list[tuple[float, Task]], list[Task]]:
    """When those end that run, and those that wait."""
    running = [(draws.remain(t), t) for t in tasks if t.elapsed_s is not None]
    return running, [task for task in tasks if task.elapsed_s is None]


class _Draws:
    """Durations in one play, of one stage."""

    def __init__(self, known: Known, number: int, middle: float, pace: float) -> None:
        self._spread = known.spread
        self._at = number * _BY_PLAY
        error = known.error * _NORMAL.inv_cdf(middle)
        self._times = pace * math.exp(error)
        self._mean_times = self._times * math.exp(-(known.spread**2) / 2)

    def take(self, expected_s: float) -> float:
        """Of one that has not begun."""
        self._at += _BY_TASK
        z = _QUANTILES[int((self._at % 1.0) * STEPS)]
        return expected_s * self._mean_times * math.exp(self._spread * z)

    def remain(self, task: Task) -> float:
        """Of one that runs."""
        elapsed_s = task.run_s
        median_s = task.expected_s * self._mean_times
        gone = _share_below(elapsed_s, median_s, self._spread)
        self._at += _BY_TASK
        share = min(gone + (1 - gone) * (self._at % 1.0), 1 - 0.5 / STEPS)
        total_s = median_s * math.exp(self._spread * _QUANTILES[int(share * STEPS)])
        # what is longer than nearly all will take some of its time more
        return max(total_s - elapsed_s, 0.1 * elapsed_s * (self._at % 1.0))


def _share_below(seconds: float, median_s: float, spread: float) -> float:
    """Of durations."""
    return _NORMAL.cdf(math.log(seconds / median_s) / spread)


def _pace(tasks: Sequence[Task], known: Known) -> float:
    """How many times as long as expected they take, as those that run show: of what has ended the
    short ones are over first, and the long ones run on."""
    running = [task for task in tasks if task.elapsed_s]
    pace, expected_s = 1.0, sum(task.expected_s for task in running)
    if not running:
        return pace
    usual_s = expected_s / len(running)
    for _ in range(3):
        total_s = sum(_mean_above(task, pace, known.spread) for task in running)
        pace = (known.counts * usual_s + total_s) / (known.counts * usual_s + expected_s)
    return pace


def _mean_above(task: Task, pace: float, spread: float) -> float:
    """Mean of all durations above the one that has gone by."""
    mean_s = pace * task.expected_s
    z = math.log(task.run_s / mean_s) / spread + spread / 2
    above = _NORMAL.cdf(-z)
    if above < 1e-6:
        return 1.1 * task.run_s
    return mean_s * _NORMAL.cdf(spread - z) / above
