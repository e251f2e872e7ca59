"""Bringing many images to one place: what comes, what is waited for, and when it ends."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable

import pytest
from rich.console import Console
from support.fake_engine import FakeEngine, failure

from orchestrator.ahead import fetch as fetch_module
from orchestrator.ahead.fetch import Ending, Fetch, Fetched, make_store
from orchestrator.ahead.progress import FetchDisplay, FetchProgress
from orchestrator.backends.images import PullStep
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import PullProblem, Quota

GB = 10**9
REGISTRY = "registry.example"
SPENT = Quota(2, 0, 60.0)


class Disk:
    """A destination: the fake engine's, with this much of its disk in reserve."""

    def __init__(self, engine: FakeEngine, reserve: int = 0) -> None:
        self.engine = engine
        self.reserve = reserve
        self.least = engine.free

    def bring(self, image: str, on_step: Callable[[PullStep], None]) -> PullStep:
        step = PullStep()
        for step in self.engine.pull(image):
            self.least = min(self.least, self.engine.free)
            on_step(step)
        return step

    def room(self) -> int | None:
        return round(self.engine.free - self.reserve) if self.engine.can_measure else None

    def quota(self, registry: str) -> Quota | None:
        assert registry == REGISTRY
        return self.engine.quota()


class Attempt:
    """One fetch of images of a GB each, on a clock that runs a thousand times as fast."""

    def __init__(self, engine: FakeEngine, count: int = 4, reserve: int = 0) -> None:
        self.images = [f"{REGISTRY}/image:{number}" for number in range(count)]
        engine.registry = dict.fromkeys(self.images, GB)
        self.engine, self.disk = engine, Disk(engine, reserve)
        self.said = io.StringIO()

    def run(self) -> Fetched:
        # as pulls have it: what comes is compressed, and half of what it takes
        sizes = {i: ImageSize((Layer(i, GB // 2),)) for i in self.images}
        users = {i: frozenset([f"user of {i}"]) for i in self.images}
        here = [i for i in self.images if i in self.engine.here]
        store = make_store(users, here, sizes, lambda _: REGISTRY, 2)
        start = time.monotonic()

        def clock() -> float:
            return start + (time.monotonic() - start) * 1000

        progress = FetchProgress(len(self.images), len(here), GB)
        console = Console(file=self.said, width=300)
        with FetchDisplay(console, progress, clock) as display:
            return Fetch(store, self.disk, display, clock).run()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setattr(fetch_module, "TICK_S", 0.01)
    return FakeEngine()


def test_all_images_come_each_once_and_in_their_order(engine: FakeEngine) -> None:
    attempt = Attempt(engine)

    assert attempt.run() == Fetched(Ending.DONE, {})
    assert set(engine.here) == set(attempt.images)
    assert sorted(engine.asked) == attempt.images
    assert "[4/4]" in attempt.said.getvalue()


def test_what_is_here_is_not_asked_for(engine: FakeEngine) -> None:
    attempt = Attempt(engine)
    attempt.run()
    engine.asked.clear()
    del engine.here[attempt.images[2]]

    attempt.run()

    assert engine.asked == [attempt.images[2]]


@pytest.mark.parametrize(
    "problem", [PullProblem.AWAY, PullProblem.QUOTA, PullProblem.ENGINE], ids=str
)
def test_what_waiting_mends_is_waited_for_and_said_once(
    engine: FakeEngine, problem: PullProblem
) -> None:
    attempt = Attempt(engine)
    engine.outage = [failure(problem)] * 5

    assert attempt.run() == Fetched(Ending.DONE, {})
    assert set(engine.here) == set(attempt.images)
    assert attempt.said.getvalue().count("what waits for one is held") == 1
    assert attempt.said.getvalue().count("is tried again:") <= 4


@pytest.mark.slow
def test_a_spent_quota_holds_all_pulls_until_the_registry_gives_again(engine: FakeEngine) -> None:
    engine.quotas = [SPENT, SPENT, Quota(100, 100, 60.0)]
    attempt = Attempt(engine)

    assert attempt.run().ending is Ending.DONE
    assert "gives no more of 2 pulls" in attempt.said.getvalue()


@pytest.mark.parametrize("problem", [PullProblem.AWAY, PullProblem.QUOTA], ids=str)
def test_a_hold_is_told_also_where_many_images_are_here_already(
    engine: FakeEngine, problem: PullProblem
) -> None:
    attempt = Attempt(engine)
    attempt.run()
    del engine.here[attempt.images[3]]
    engine.outage = [failure(problem)]

    attempt.run()

    assert attempt.said.getvalue().count("what waits for one is held") == 1


@pytest.mark.slow
def test_no_more_is_asked_for_than_the_quota_has_left(engine: FakeEngine) -> None:
    engine.quotas = [Quota(2, 2, 60.0), SPENT, Quota(2, 2, 60.0)]
    asked_at_quota = []
    quota = engine.quota

    def note() -> Quota | None:
        asked_at_quota.append(len(engine.asked))
        return quota()

    engine.quota = note  # type: ignore[method-assign]

    assert Attempt(engine).run().ending is Ending.DONE
    assert asked_at_quota[:3] == [0, 2, 2]


def test_an_image_that_cannot_be_had_is_named_and_the_others_come(engine: FakeEngine) -> None:
    attempt = Attempt(engine)
    del engine.registry[attempt.images[1]]

    fetched = attempt.run()

    assert fetched.ending is Ending.DONE
    assert list(fetched.refused) == [attempt.images[1]]
    assert set(engine.here) == set(attempt.images) - {attempt.images[1]}
    assert f"can't be had: {attempt.images[1]}: the test says refused" in attempt.said.getvalue()


def test_one_image_that_fails_again_and_again_is_given_up_while_others_come(
    engine: FakeEngine,
) -> None:
    attempt = Attempt(engine, 8)
    engine.failures = {attempt.images[0]: [failure(PullProblem.AWAY)] * 99}

    fetched = attempt.run()

    assert list(fetched.refused) == [attempt.images[0]]
    assert len(engine.here) == 7


@pytest.mark.parametrize("free", [5.5, 4.0, 3.2, 1.0, 0.0])
def test_it_stops_before_the_reserve_is_used_up(engine: FakeEngine, free: float) -> None:
    engine.free, reserve = free * GB, GB
    attempt = Attempt(engine, 8, reserve)

    assert attempt.run().ending is Ending.FULL
    assert attempt.disk.least >= min(reserve, free * GB)
    assert len(engine.here) < 8


def test_pulls_that_are_under_way_break_off_when_somebody_else_fills_the_disk(
    engine: FakeEngine,
) -> None:
    attempt = Attempt(engine)
    rooms = itertools.chain([90 * GB], itertools.repeat(-1))
    attempt.disk.room = lambda: next(rooms)  # type: ignore[method-assign]
    broken_off = []

    def endless(image: str, on_step: Callable[[PullStep], None]) -> PullStep:
        try:
            for count in itertools.count():
                on_step(PullStep(count))
                time.sleep(0.001)
        finally:
            broken_off.append(image)

    attempt.disk.bring = endless  # type: ignore[method-assign]

    assert attempt.run().ending is Ending.FULL
    assert sorted(broken_off) == attempt.images[:2]


def test_an_engine_that_says_its_disk_is_full_is_asked_for_nothing_more(engine: FakeEngine) -> None:
    attempt = Attempt(engine, 8)
    engine.failures = {attempt.images[0]: [failure(PullProblem.NO_ROOM)]}

    assert attempt.run().ending is Ending.FULL
    assert len(engine.asked) <= 2


def test_an_engine_that_never_says_what_is_free_ends_it_when_it_is_full(
    engine: FakeEngine,
) -> None:
    attempt = Attempt(engine)
    engine.can_measure = False
    engine.failures = {attempt.images[3]: [failure(PullProblem.NO_ROOM)]}

    assert attempt.run().ending is Ending.FULL
    assert len(engine.here) >= 2


def test_an_image_of_which_nobody_knows_the_size_comes_too(engine: FakeEngine) -> None:
    attempt = Attempt(engine, 1)
    store = make_store(
        {attempt.images[0]: frozenset("i")}, [], {}, lambda _: REGISTRY, pulls_at_once=1
    )
    display = FetchDisplay(Console(file=attempt.said), FetchProgress(1, 0, 0))

    assert Fetch(store, attempt.disk, display).run().ending is Ending.DONE
    assert set(engine.here) == set(attempt.images)


def test_a_bug_of_ours_in_a_thread_is_not_waited_for(engine: FakeEngine) -> None:
    attempt = Attempt(engine)

    def broken(image: str, on_step: Callable[[PullStep], None]) -> PullStep:
        raise ZeroDivisionError(image)

    attempt.disk.bring = broken  # type: ignore[method-assign]

    with pytest.raises(ZeroDivisionError):
        attempt.run()


def test_a_pull_that_stalls_does_not_keep_a_full_disk_waiting(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = Attempt(engine)
    rooms = itertools.chain([90 * GB], itertools.repeat(-1))
    attempt.disk.room = lambda: next(rooms)  # type: ignore[method-assign]
    engine.go_on.clear()

    assert attempt.run().ending is Ending.FULL
    engine.go_on.set()
