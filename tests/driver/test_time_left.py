"""How long a session has still to go: never nothing while something is left, a range that narrows,
and the truth within it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.driver.durations import Durations
from orchestrator.driver.time_left import (
    Known,
    LaneLeft,
    SessionLeft,
    Task,
    TimeRange,
    time_left,
)
from orchestrator.journal.past import PastSeconds

WELL = Known(spread=0.05, counts=100)


def left(
    *lanes: LaneLeft, grades: list[Task] | None = None, slots: int = 1, most: int = 1
) -> TimeRange:
    found = time_left(SessionLeft(lanes, grades or [], slots, most, WELL, WELL))
    assert found is not None
    return found


def waiting(count: int, seconds: float = 100.0, grade_s: float = 0.0) -> list[Task]:
    return [Task(seconds, None, grade_s)] * count


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (left(LaneLeft(2, waiting(10))), 500),
        (left(LaneLeft(2, [Task(100, 50.0), Task(100, 20.0)])), 80),
        (left(LaneLeft(4, waiting(8)), LaneLeft(1, waiting(6))), 600),
        (left(grades=waiting(9)), 900),
        (left(grades=waiting(9), slots=3, most=3), 300),
        (left(grades=[Task(100, 90.0), *waiting(1)]), 110),
        (left(LaneLeft(1, waiting(3)), grades=waiting(9)), 900),
        (left(LaneLeft(1, waiting(3, grade_s=50))), 350),
        (left(LaneLeft(3, waiting(3, grade_s=200))), 700),
        (left(LaneLeft(3, waiting(3, grade_s=200)), most=3), 300),
    ],
    ids=[
        "rollouts in two slots",
        "rollouts that run",
        "the slower of two models",
        "nine grades in one slot",
        "nine grades in three",
        "a grade that runs",
        "grades beside few rollouts",
        "the last rollout's grade",
        "grades that pile up",
        "grades in the cores of rollouts that are over",
    ],
)
def test_rollouts_and_grades_that_are_left_take_their_time_in_their_slots(
    found: TimeRange, seconds: float
) -> None:
    assert found.low_s == pytest.approx(seconds, rel=0.2)
    assert found.low_s < found.high_s
    assert found.high_s == pytest.approx(seconds, rel=0.2)


def test_nothing_is_left_of_what_is_over() -> None:
    assert time_left(SessionLeft([LaneLeft(3, [])], [], 1, 2, WELL, WELL)) is None


def test_what_takes_much_longer_than_expected_takes_some_of_its_time_more() -> None:
    found = left(LaneLeft(1, [Task(100, 5000.0)]))

    assert 1 <= found.low_s < found.high_s <= 500


def test_few_that_ended_say_less_than_many() -> None:
    lanes = [LaneLeft(4, waiting(40))]
    few, many = (
        time_left(SessionLeft(lanes, [], 1, 1, Known(0.5, counts), WELL)) for counts in (2, 200)
    )

    assert few is not None
    assert many is not None
    assert few.high_s - few.low_s > 2 * (many.high_s - many.low_s)


seconds = st.floats(1e-3, 1e6)
tasks = st.lists(st.builds(Task, seconds, st.none() | st.floats(0, 1e6), st.floats(0, 1e4)))
knowns = st.builds(Known, st.floats(0.01, 2), st.floats(1, 1e4))


@given(
    st.lists(st.builds(LaneLeft, st.integers(1, 9), tasks), max_size=3),
    tasks,
    st.integers(1, 4),
    st.integers(1, 4),
    knowns,
    knowns,
)
def test_it_is_never_nothing_while_something_is_left(
    lanes: list[LaneLeft], grades: list[Task], now: int, most: int, one: Known, two: Known
) -> None:
    found = time_left(SessionLeft(lanes, grades, now, most, one, two))

    if not grades and not any(lane.tasks for lane in lanes):
        assert found is None
        return
    assert found is not None
    assert 1 <= found.low_s <= found.high_s < math.inf


# nights


@dataclass(frozen=True)
class Moment:
    """At which something has ended, how long it took, and what waits and runs then, since when."""

    now: float
    stage: str
    ended: str
    took_s: float
    waiting: list[str]
    running: dict[str, float]
    to_grade: list[str]
    grading: dict[str, float]


@dataclass
class Night:
    """Rollouts of repositories that differ, and their grades, as they would go."""

    seed: int
    count: int = 60
    slots: int = 6
    grade_slots: int = 2
    grade_s: float = 90.0
    past_factor: float | None = None
    """By how much earlier runs are off, in the mean; None: there are none."""
    longest_first: bool = False
    ended_s: float = 0.0
    said: list[tuple[float, TimeRange]] = field(default_factory=list)

    def play(self, every_s: float = 400.0) -> Night:
        """Says once in a while what is left, and how it went."""
        draw, names = Random(self.seed), [f"i{n}" for n in range(self.count)]
        repos = {name: f"r{n % 7}" for n, name in enumerate(names)}
        factors = {repo: draw.lognormvariate(0, 0.5) for repo in sorted(set(repos.values()))}
        takes = {n: 600 * factors[repos[n]] * draw.lognormvariate(0, 0.5) for n in names}
        graded = {n: self.grade_s * factors[repos[n]] * draw.lognormvariate(0, 0.3) for n in names}
        past = PastSeconds()
        if self.past_factor is not None:
            noise = math.log(self.past_factor)
            own = {name: s * draw.lognormvariate(0, noise) for name, s in takes.items()}
            past = PastSeconds(
                own, {r: fmean(own[n] for n in own if repos[n] == r) for r in factors}
            )
        rollouts, grades = Durations(repos, past, 600.0), Durations(repos, guess_s=40.0)
        if self.longest_first:
            names.sort(key=lambda name: -rollouts.expected_s(name))
        moments = _moments(names, takes, graded, self.slots, self.grade_slots)
        next_s, before = every_s, next(moments)
        for moment in moments:
            self.ended_s = moment.now
            while next_s < moment.now:
                self._say(next_s, rollouts, grades, before)
                next_s += every_s
            (rollouts if moment.stage == "rollout" else grades).add(moment.ended, moment.took_s)
            before = moment
        return self

    def _say(self, now: float, rollouts: Durations, grades: Durations, there: Moment) -> None:
        if not rollouts.is_known:
            return

        def task(name: str, since: float | None) -> Task:
            graded_s = grades.expected_s(name)
            return Task(rollouts.expected_s(name), None if since is None else now - since, graded_s)

        lane = [task(name, since) for name, since in there.running.items()]
        lane += [task(name, None) for name in there.waiting]
        marks = [Task(grades.expected_s(n), now - since) for n, since in there.grading.items()]
        marks += [Task(grades.expected_s(name)) for name in there.to_grade]
        slots = self.grade_slots
        lanes = [LaneLeft(self.slots, lane)]
        known = rollouts.known, grades.known
        found = time_left(SessionLeft(lanes, marks, slots, slots, *known))
        assert found is not None
        self.said.append((now, found))

    @property
    def later(self) -> list[tuple[float, TimeRange]]:
        """What was truly left, and what was said, from a tenth of the night on."""
        return [(self.ended_s - at, s) for at, s in self.said if at >= self.ended_s / 10]


def _moments(
    names: list[str], takes: dict[str, float], graded: dict[str, float], slots: int, marks: int
) -> Iterator[Moment]:
    """The start, and whenever something ends."""
    waiting, to_grade = list(names), list[str]()
    running, grading = dict[str, float](), dict[str, float]()
    ends: list[tuple[float, str, str]] = []
    now, stage, name, took_s = 0.0, "", "", 0.0
    while True:
        while waiting and len(running) < slots:
            running[begun := waiting.pop(0)] = now
            heapq.heappush(ends, (now + takes[begun], "rollout", begun))
        while to_grade and len(grading) < marks:
            grading[begun := to_grade.pop(0)] = now
            heapq.heappush(ends, (now + graded[begun], "grade", begun))
        there = list(waiting), dict(running), list(to_grade), dict(grading)
        yield Moment(now, stage, name, took_s, *there)
        if not ends:
            return
        now, stage, name = heapq.heappop(ends)
        took_s = now - (running if stage == "rollout" else grading).pop(name)
        if stage == "rollout":
            to_grade.append(name)


KINDS = {
    "no past": {},
    "slow grades": {"grade_s": 260.0},
    "a past that is off by 1.5": {"past_factor": 1.5},
    "that past, the longest first": {"past_factor": 1.5, "longest_first": True},
    "few instances": {"count": 24},
}


@pytest.mark.slow
def test_the_truth_is_within_the_range_from_a_tenth_of_the_night_on() -> None:
    of_kinds = {
        kind: [Night(seed, **more).play().later for seed in range(4)]  # type: ignore[arg-type]
        for kind, more in KINDS.items()
    }

    said = [one for nights in of_kinds.values() for night in nights for one in night]
    within = [s.low_s <= truth <= s.high_s for truth, s in said]
    assert len(within) > 200
    assert fmean(within) >= 0.8


@pytest.mark.slow
def test_the_range_narrows_as_the_night_goes_on() -> None:
    nights = [Night(seed).play() for seed in range(4)]
    widths = [[s.high_s - s.low_s for _, s in night.later] for night in nights]

    early, late = ([fmean(w[:4]) for w in widths], [fmean(w[-4:]) for w in widths])
    assert fmean(late) < fmean(early) / 2
