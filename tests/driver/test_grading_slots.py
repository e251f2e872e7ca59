"""How many grades at once: the cores that rollouts leave, measured idle ones, and one memory for
both."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import RUN_ID, key_of

from orchestrator.backends.host import Host, Place
from orchestrator.config.cluster import Cluster
from orchestrator.config.schema import Endpoint, Model
from orchestrator.driver.capacity import Memory, choose_grading, grades, grading_line
from orchestrator.driver.executor import NodeSlots
from orchestrator.driver.grading_slots import GradingSlots, Load, MemoryBudget
from orchestrator.driver.grading_watch import LOOK_EVERY_S, GradingWatch
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage
from orchestrator.types import RolloutKey

MODEL = Model(name="m", served_name="m", endpoint=Endpoint(base_url="http://h/v1"))
TWO_CORES = Host("docker", 16, 2)
MANY = 300


def grading(
    slots: int | str = "auto",
    host: Host = TWO_CORES,
    here: Memory | None = None,
    rollout_slots: int = 4,
    graded: int = MANY,
    model: Model | None = MODEL,
    **more: Any,
) -> GradingSlots:
    cluster = Cluster.model_validate({"name": "c", "grading": {"slots": slots}, **more})
    return choose_grading(cluster, [model], host, here or Memory(64, 64), rollout_slots, graded)


def test_two_cores_grade_two_patches_while_four_rollouts_wait_for_their_model() -> None:
    """The model takes 3 s an answer: one grade and the rollouts keep 1.2 cores busy."""
    found = grading()

    assert found.at_once(Load(rollouts=4, grades=1, busy_cores=1.2)) == 2
    assert found.at_once(Load(rollouts=4, grades=2, busy_cores=1.9)) == 1, "none starts beside two"
    assert found.at_once(Load(rollouts=4, grades=1)) == 1, "nobody has measured"


@pytest.mark.parametrize("busy", [None, 0.0, 2.0])
def test_when_rollouts_are_over_all_cores_grade(busy: float | None) -> None:
    assert grading().at_once(Load(grades=0, busy_cores=busy)) == 2


@pytest.mark.parametrize(
    ("rollouts", "busy", "count"),
    [
        (0, 8.0, 8),
        (4, None, 7),
        (16, None, 4),
        (31, None, 1),
        (64, None, 1),
        (16, 8.0, 4),
        (16, 7.6, 4),
        (16, 7.5, 6),
        (64, 1.0, 6),
    ],
)
def test_rollouts_leave_most_cores_and_a_measured_idle_one_is_used(
    rollouts: int, busy: float | None, count: int
) -> None:
    """Of eight cores, with five grades under way."""
    found = grading(host=replace(TWO_CORES, cpus=8), here=Memory(999, 999))

    assert found.at_once(Load(rollouts, grades=5, busy_cores=busy)) == count


def test_rollouts_that_ask_no_model_keep_a_core_each() -> None:
    assert grading(model=None, host=replace(TWO_CORES, cpus=8)).at_once(Load(rollouts=6)) == 2


def test_a_virtual_machine_and_this_host_are_both_kept_within_their_memory() -> None:
    machine = Host("docker", 8.6, 10, place=Place.VIRTUAL_MACHINE, engine_name="OrbStack")
    large = grading(host=machine, here=Memory(64, 64))
    small = grading(host=machine, here=Memory(8, 1))

    assert (large.most, large.at_once(Load(rollouts=3)), large.at_once(Load(rollouts=5))) == (
        6,  # (8.6 - 0.5) / 1.2
        3,
        1,
    )
    assert small.most == 4  # (8 - 2 - 1) / 1.2: the machine's memory is this host's too
    assert "memory binds" in small.bound


@pytest.mark.parametrize("host", [TWO_CORES, Host("docker", 1, 64, place=Place.ELSEWHERE)])
@pytest.mark.parametrize("here", [Memory(64, 64), Memory(2, 0.1)], ids=["much", "no memory"])
@pytest.mark.parametrize(
    "load", [Load(), Load(99, 0, 0, 2.0), Load(99, 99, 3), Load(0, 0, 9, 64.0)]
)
def test_there_is_always_one_grade(host: Host, here: Memory, load: Load) -> None:
    assert grading(host=host, here=here).at_once(load) >= 1


@pytest.mark.parametrize("load", [Load(), Load(99, 9, 9, 64.0), Load(grades=99, busy_cores=0)])
def test_a_number_that_is_said_stays_that_number(load: Load) -> None:
    found = grading(5)

    assert (found.most, found.at_once(load), found.rollouts_beside(5)) == (5, 5, math.inf)
    assert grading_line(found) == "5 grades at once, as cluster.grading.slots says"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            grading(),
            "up to 2 grades at once, fewer while rollouts need the cores: the host's 2 cores bind; "
            "cluster.grading.slots takes more",
        ),
        (grading(graded=1), "1 grade at once: no more are left to do"),
        (
            grading(host=replace(TWO_CORES, cpus=20), here=Memory(9, 9)),
            "up to 5 grades at once, fewer while rollouts need the cores: memory binds, at 1.2 GB "
            "a grade (cluster.sandbox.memory_request_gb)",
        ),
        (
            grading(ray_address="head:6379"),
            "grades at once, as many as the cluster's nodes offer (grade_slot)",
        ),
        (grading(1, ray_address="head:6379"), "1 grade at once, as cluster.grading.slots says"),
    ],
    ids=["cores", "few", "memory", "nodes", "said"],
)
def test_what_auto_comes_to_is_said_with_its_reason(found: GradingSlots, line: str) -> None:
    assert grading_line(found) == line
    assert line.startswith(grades(found))


budgets = st.builds(MemoryBudget, st.floats(0, 100), st.floats(0.5, 4), st.sampled_from([0.0, 1.5]))


@given(
    st.integers(1, 64),
    st.tuples(budgets, budgets),
    st.lists(st.integers(0, 40), min_size=2, max_size=2),
    st.none() | st.floats(0, 64),
)
def test_more_rollouts_never_leave_more_grades_and_both_fit_the_memory(
    cores: int, two: tuple[MemoryBudget, ...], rollouts: list[int], busy: float | None
) -> None:
    found = GradingSlots(cores, "", cores, budgets=two)
    few, many = (
        found.at_once(Load(count, grades=2, busy_cores=busy)) for count in sorted(rollouts)
    )

    assert 1 <= many <= few <= cores
    for budget in two:
        fits = many * budget.grade_gb + max(rollouts) * budget.rollout_gb <= budget.room_gb
        assert fits or many == 1 or not budget.grade_gb


# in the scheduler


def scheduler(found: GradingSlots, slots: int = 4, limit: int | None = None) -> Scheduler:
    return Scheduler(slots, found, {RUN_ID: RunTerms({}, lane=Lane(limit=limit))})


def started(it: Scheduler) -> list[Stage]:
    return [start.stage for start in it.admit(0)]


def keys(count: int, letter: str = "r") -> list[RolloutKey]:
    return [key_of(f"{letter}{n}") for n in range(count)]


def test_a_measurement_lets_one_more_grade_start_and_then_a_new_one_is_wanted() -> None:
    it = scheduler(grading(host=replace(TWO_CORES, cpus=4)), slots=12)
    it.add(Stage.ROLLOUT, keys(12))
    it.add(Stage.GRADE, keys(5, "g"))
    assert started(it).count(Stage.GRADE) == 1

    it.busy_cores = 1.0
    assert started(it) == [Stage.GRADE]
    assert started(it) == [], "that one was counted"
    it.busy_cores = 1.9
    assert started(it) == [Stage.GRADE]
    it.busy_cores = 3.9
    assert started(it) == [], "no core is idle"
    assert len(it.running(Stage.GRADE)) == 3, "and nothing is cut"


FOUR_FIT = GradingSlots(8, "", 8, budgets=(MemoryBudget(4.0, 1.0, 1.0),))


def test_when_rollouts_end_their_memory_goes_to_grades() -> None:
    it = scheduler(FOUR_FIT, slots=3)
    it.add(Stage.ROLLOUT, keys(3))
    it.add(Stage.GRADE, keys(9, "g"))
    assert sorted(started(it)) == [Stage.GRADE, *[Stage.ROLLOUT] * 3]

    for key in keys(2):
        it.rollout_done(key, None, wants_grade=False, now=0)
        assert started(it) == [Stage.GRADE]


def test_rollouts_that_may_start_again_wait_for_the_memory_that_grades_took() -> None:
    """The model's server is worth one rollout, and later three."""
    it = scheduler(FOUR_FIT, slots=3, limit=1)
    it.add(Stage.ROLLOUT, keys(6))
    it.add(Stage.GRADE, keys(9, "g"))
    assert started(it).count(Stage.GRADE) == 3

    (lane,) = it.lanes
    lane.limit = 3
    assert started(it) == [], "all four are taken"
    for key in keys(2, "g"):
        it.grade_done(key, None, now=0)
        assert started(it) == [Stage.ROLLOUT], "no grade takes its place"


def test_nothing_is_left_for_rollouts_whose_server_is_away_or_has_enough() -> None:
    lanes = Lane("worth one", limit=1), Lane("away", away="it is not there")
    of_runs = zip((RUN_ID, "r2"), lanes, strict=True)
    it = Scheduler(3, FOUR_FIT, {run_id: RunTerms({}, lane=lane) for run_id, lane in of_runs})
    it.add(Stage.ROLLOUT, [*keys(6), *(replace(key, run_id="r2") for key in keys(6, "o"))])
    it.add(Stage.GRADE, keys(9, "g"))

    assert sorted(started(it)) == [*[Stage.GRADE] * 3, Stage.ROLLOUT]


def test_more_workers_than_memory_fits_are_as_many_as_a_person_says() -> None:
    it = scheduler(FOUR_FIT, slots=9)
    it.add(Stage.ROLLOUT, keys(9))
    it.add(Stage.GRADE, keys(2, "g"))

    assert sorted(started(it)) == [Stage.GRADE, *[Stage.ROLLOUT] * 9]


# looked at while a session runs


class Nodes:
    """Two, of which the second joins later."""

    def __init__(self) -> None:
        self.there = [NodeSlots("a", 4, 1)]

    def nodes(self) -> tuple[NodeSlots, ...]:
        return tuple(self.there)


def test_a_clusters_nodes_say_how_many_grades_and_more_when_one_joins() -> None:
    nodes, it, now = Nodes(), scheduler(grading(ray_address="head:6379")), [0.0]
    watch = GradingWatch(it, nodes, None, lambda: now[0])  # type: ignore[arg-type]
    watch.look()
    assert it.grading.most == 1

    nodes.there.append(NodeSlots("b", 8, 3))
    watch.look()
    assert it.grading.most == 1, "it looks once in a while"
    now[0] = LOOK_EVERY_S
    watch.look()
    assert it.grading.most == 4
    nodes.there.clear()
    now[0] = 2 * LOOK_EVERY_S
    watch.look()
    assert it.grading.most == 1, "what waits there waits for a node"


def test_cores_are_measured_anew_once_a_grade_has_started() -> None:
    it, now, asked = scheduler(grading()), [0.0], [0.0, 1.0, 0.5, 2.0]
    watch = GradingWatch(it, Nodes(), lambda: asked.pop(0), lambda: now[0])  # type: ignore[arg-type]
    watch.look()
    assert it.busy_cores is None, "the first answer is about another time"
    now[0] = LOOK_EVERY_S
    watch.look()
    assert it.busy_cores == 1.0

    it.busy_cores, now[0] = None, 3.0
    watch.grade_started()
    now[0] = 4.0
    watch.look()
    assert it.busy_cores is None
    now[0] = 5.0
    watch.look()
    assert it.busy_cores == 2.0


@pytest.mark.parametrize("found", [grading(2), grading(ray_address="head:6379")])
def test_nothing_is_measured_for_a_number_that_is_said(found: GradingSlots) -> None:
    asked: list[float] = []
    it, now = scheduler(found), [0.0]
    watch = GradingWatch(it, Nodes(), lambda: asked.pop(), lambda: now[0])  # type: ignore[arg-type]
    for now[0] in (0.0, 9.0):
        watch.look()

    assert it.busy_cores is None
