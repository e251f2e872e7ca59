"""What rollouts and grades are expected to take: their own past, then what this session shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import failed, graded, key_of, rolled

from orchestrator.driver.durations import Durations, SessionDurations
from orchestrator.driver.scheduler import Stage
from orchestrator.journal.past import PastSeconds
from orchestrator.types import GradeResult, RolloutResult, Usage

REPOS = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c"}


def ended(durations: Durations, **seconds: float) -> Durations:
    for name, taken in seconds.items():
        durations.add(name, taken)
    return durations


def test_before_anything_ends_the_past_says_it_and_else_a_guess() -> None:
    past = PastSeconds({"a1": 500.0}, {"a": 300.0, "b": 100.0})
    known, unknown = Durations(REPOS, past), Durations(REPOS, guess_s=60.0)

    found = [known.expected_s(name) for name in ("a1", "a2", "b1", "c1")]
    assert found[0] == max(found)
    assert found[1] > found[3] > found[2], "of what nothing is known is between the others"
    assert 300 < found[0] < 500, "a single one was partly chance"
    assert unknown.expected_s("a1") == pytest.approx(60)
    assert (known.is_known, unknown.is_known) == (True, False)


def test_without_a_past_repositories_tell_themselves_apart_as_they_end() -> None:
    found = ended(Durations(REPOS, guess_s=60.0), a1=1000.0, b1=200.0)

    assert found.expected_s("a2") > found.expected_s("c1") > found.expected_s("b2")
    assert 440 < found.expected_s("c1") < 1000, "about as long as those that have ended"


def test_a_slower_model_makes_all_longer_and_leaves_their_order() -> None:
    past = PastSeconds({"a1": 100.0, "a2": 50.0, "b1": 200.0}, {"a": 75.0, "b": 200.0})
    found = Durations(REPOS, past)
    for _ in range(20):
        ended(found, a1=300.0, b1=600.0)

    assert found.expected_s("a1") == pytest.approx(300, rel=0.1)
    assert found.expected_s("b1") == pytest.approx(600, rel=0.1)
    assert found.expected_s("a2") == pytest.approx(150, rel=0.2)


def test_a_past_that_was_chance_tells_nothing_apart_any_more() -> None:
    past = PastSeconds({f"a{n}": 100.0 * n for n in (1, 2, 3)}, {"a": 200.0})
    found = Durations(REPOS, past)
    for _ in range(30):
        ended(found, a1=200.0, a2=200.0, a3=200.0)

    assert found.expected_s("a3") == pytest.approx(found.expected_s("a1"), rel=0.2)


@given(
    st.dictionaries(st.sampled_from(sorted(REPOS)), st.floats(0, 1e6)),
    st.lists(st.tuples(st.sampled_from([*REPOS, "unknown"]), st.floats(-5, 1e6)), max_size=30),
)
def test_whatever_ends_each_is_expected_to_take_some_time(
    own: dict[str, float], ends: list[tuple[str, float]]
) -> None:
    found = Durations(REPOS, PastSeconds(own, {"b": 0.0}))
    for name, seconds in ends:
        found.add(name, seconds)

    assert all(0 < found.expected_s(name) < 1e13 for name in (*REPOS, "unknown"))
    assert 0 < found.spread < 40


# of a session


def session(*, longest_first: bool = True) -> SessionDurations:
    grades = Durations(REPOS)
    return SessionDurations({"r1": Durations(REPOS)}, grades, longest_first)


def at(result: RolloutResult | GradeResult, ended_at: float) -> RolloutResult | GradeResult:
    record = replace(result.record, started_at=0.0, ended_at=ended_at)
    return replace(result, record=record)  # type: ignore[arg-type]


def test_outages_pulls_and_failures_are_no_part_of_what_a_session_learns() -> None:
    learned = session()
    outage = rolled("a1", usage=Usage(held_s=100.0), phases_s={"image": 50.0})
    for event in (at(outage, 250.0), at(failed("a2"), 999.0), at(graded("b1", None), 999.0)):
        learned.take(event)
    learned.take(at(rolled("a3"), -3600.0))  # the clock was set back

    assert (learned.rollouts["r1"].ended, learned.grades.ended) == (1, 0)
    assert learned.expected_s(Stage.ROLLOUT, key_of("c1")) == pytest.approx(100, rel=0.2)
    learned.take(at(graded("b1", True), 30.0))
    assert learned.expected_s(Stage.GRADE, key_of("c1")) == pytest.approx(30, rel=0.2)


def test_those_that_wait_start_the_longest_first_and_runs_of_an_instance_stay_together() -> None:
    learned = session()
    both = replace(learned, rollouts={"r1": learned.rollouts["r1"], "r2": Durations(REPOS)})
    ended(both.rollouts["r1"], a1=100.0, b1=10.0)
    ended(both.rollouts["r2"], a1=100.0, b1=900.0)
    keys = [key_of("a2"), replace(key_of("a2"), run_id="r2"), key_of("b2"), key_of("a3")]

    order = sorted(keys, key=both.turn(Stage.ROLLOUT))

    assert [key.instance_id for key in order] == ["b2", "a2", "a2", "a3"]
    own = replace(both, longest_rollouts_first=False)
    assert sorted(keys, key=own.turn(Stage.ROLLOUT)) == keys, "images have to come"
    assert sorted(keys, key=own.turn(Stage.GRADE)) == keys, "nothing is known of them"
