from __future__ import annotations

import pytest
from support.pages import subject_of
from support.rows import asked, failed, graded, rolled, state

from orchestrator.page.sections.spending import CameTo, Spending, TimePart, build_spending
from orchestrator.types import Usage

PHASES = {"image": 10, "sandbox": 5, "agent": 100, "harvest": 3, "remove": 2}


def spending_of(*args: object, **more: object) -> Spending:
    found = build_spending(subject_of(state(*args, **more)))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_an_attempts_time_is_its_phases_and_each_second_counts_once() -> None:
    usage = Usage(4, 100, 10, model_s=60, held_s=20)

    (row,) = spending_of(rolled("a", usage=usage, phases_s=PHASES), ids=("a",)).rows

    assert row.seconds == {
        TimePart.MODEL: 40,
        TimePart.WAITING: 20,
        TimePart.TOOLS: 40,
        TimePart.SANDBOX: 20,
        TimePart.GRADING: 0,
    }
    assert row.total_s == sum(PHASES.values())


def test_the_gateways_account_goes_before_the_agents_own() -> None:
    requests = [asked("a", total_s=50, held_s=5, queue_s=15)]
    usage = Usage(1, model_s=99)

    (row,) = spending_of(
        rolled("a", usage=usage, phases_s=PHASES), ids=("a",), requests=requests
    ).rows

    assert (row.seconds[TimePart.MODEL], row.seconds[TimePart.WAITING]) == (30, 20)
    assert row.seconds[TimePart.TOOLS] == 50


@pytest.mark.parametrize("model_s", [0, 99, 1e9])
def test_no_part_is_less_than_nothing_whatever_clocks_say(model_s: float) -> None:
    usage = Usage(1, model_s=model_s, held_s=1000)

    (row,) = spending_of(rolled("a", usage=usage, phases_s=PHASES), ids=("a",)).rows

    assert min(row.seconds.values()) >= 0


def test_attempts_are_told_apart_by_what_came_of_them() -> None:
    rolls = [
        rolled("a", phases_s={"agent": 1}),
        rolled("b", phases_s={"agent": 2}),
        failed("c", 1),
        rolled("c", 2, phases_s={"agent": 3}),
    ]
    grades = [graded("a", True), graded("b", False), graded("c", True, attempt=2)]

    rows = spending_of(*rolls, grades=grades).rows

    assert [(row.came_to, row.attempts) for row in rows] == [
        (CameTo.RESOLVED, 2),
        (CameTo.UNRESOLVED, 1),
        (CameTo.NOTHING, 1),
    ]


def test_where_nothing_took_time_there_is_nothing_to_show() -> None:
    assert build_spending(subject_of(state())) is None
    assert build_spending(subject_of(state(rolled("a")))) is None
