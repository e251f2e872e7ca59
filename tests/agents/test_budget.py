from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.agents.steps import Step
from orchestrator.config.schema import RolloutLimits
from orchestrator.types import Outcome, Usage

LISTED = Step("I look.", "ls", "a.py")
FAILED = Step("I test.", "pytest", "1 failed")
UNREADABLE = Step("I would look now.", "", "(not one command in the asked form)")


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_step_after_the_last_one_is_refused() -> None:
    budget = Budget(RolloutLimits(max_steps=2))
    budget.begin_step()
    budget.begin_step()

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.STEP_LIMIT
    assert budget.usage.steps == 2


def test_tokens_of_prompt_and_completion_count_together() -> None:
    budget = Budget(RolloutLimits(max_tokens=100))
    budget.begin_step()
    budget.add_answer(90, 10, 1.5)

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.TOKEN_LIMIT
    assert budget.usage == Usage(1, 90, 10, 1.5, 0.0)


def test_the_wall_clock_ends_a_rollout() -> None:
    clock = Clock()
    budget = Budget(RolloutLimits(time_limit_s=60), now=clock)
    clock.seconds += 60

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.TIME_LIMIT


def test_time_in_which_the_server_was_away_does_not_count() -> None:
    clock = Clock()
    held = [0.0]
    budget = Budget(RolloutLimits(time_limit_s=60), lambda: held[0], now=clock)
    clock.seconds += 600
    held[0] = 590

    budget.begin_step()

    assert budget.time_left_s == pytest.approx(50)
    assert budget.usage.held_s == 590


def test_a_command_gets_its_own_limit_or_what_is_left() -> None:
    clock = Clock()
    budget = Budget(RolloutLimits(time_limit_s=100, command_timeout_s=30), now=clock)
    assert budget.command_timeout_s() == 30
    clock.seconds += 90
    assert budget.command_timeout_s() == pytest.approx(10)
    clock.seconds += 90
    assert budget.command_timeout_s() == 1.0


def test_steps_that_are_left_go_down_with_each_that_begins() -> None:
    budget = Budget(RolloutLimits(max_steps=2))
    assert budget.steps_left == 2
    budget.begin_step()
    budget.end_step(LISTED)
    assert budget.steps_left == 1
    budget.begin_step()
    assert budget.steps_left == 0

    with pytest.raises(LimitReached):
        budget.begin_step()

    assert budget.steps_left == 0


def play(budget: Budget, *steps: Step) -> Outcome | None:
    """Take these steps; the limit that the next one meets."""
    for step in steps:
        budget.begin_step()
        budget.end_step(step)
    try:
        budget.begin_step()
    except LimitReached as limit:
        return limit.outcome
    return None


def test_the_same_action_with_the_same_observation_again_and_again_is_a_loop() -> None:
    assert play(Budget(RolloutLimits(loop_limit=3)), LISTED, LISTED) is None
    assert play(Budget(RolloutLimits(loop_limit=3)), LISTED, LISTED, LISTED) is Outcome.STEP_LIMIT


def test_what_the_agent_thinks_meanwhile_makes_no_difference() -> None:
    others = [replace(LISTED, thought=f"Once more, {n}.", time=float(n)) for n in range(3)]

    assert play(Budget(RolloutLimits(loop_limit=3)), *others) is Outcome.STEP_LIMIT


@pytest.mark.parametrize(
    "between", [replace(LISTED, observation="a.py b.py"), replace(LISTED, action="ls -1"), FAILED]
)
def test_anything_else_in_between_begins_the_count_anew(between: Step) -> None:
    limits = RolloutLimits(loop_limit=3)

    assert play(Budget(limits), LISTED, LISTED, between, LISTED, LISTED) is None
    ended = play(Budget(limits), LISTED, LISTED, between, LISTED, LISTED, LISTED)
    assert ended is Outcome.STEP_LIMIT


def test_two_commands_in_turn_are_no_loop() -> None:
    assert play(Budget(RolloutLimits(loop_limit=2)), *[LISTED, FAILED] * 10) is None


def test_without_a_limit_on_loops_there_is_none() -> None:
    assert RolloutLimits().loop_limit == 0
    assert play(Budget(RolloutLimits(loop_limit=0)), *[LISTED] * 20) is None


def test_a_loop_limit_of_one_ends_a_rollout_after_any_step() -> None:
    assert play(Budget(RolloutLimits(loop_limit=1))) is None
    assert play(Budget(RolloutLimits(loop_limit=1)), LISTED) is Outcome.STEP_LIMIT


def test_answers_without_an_action_are_format_errors_and_no_loop() -> None:
    assert play(Budget(RolloutLimits(loop_limit=2)), UNREADABLE, UNREADABLE, UNREADABLE) is None


def test_answers_without_an_action_are_counted() -> None:
    budget = Budget(RolloutLimits())
    play(budget, UNREADABLE, LISTED, replace(UNREADABLE, action=" \n"), UNREADABLE)

    assert budget.unusable_answers == 3


def test_steps_are_kept_in_order() -> None:
    budget = Budget(RolloutLimits())
    play(budget, LISTED, LISTED, FAILED)

    assert budget.steps == [LISTED, LISTED, FAILED]


def test_a_prompt_that_has_grown_to_the_models_context_is_the_last() -> None:
    budget = Budget(RolloutLimits(), context_length=1000)
    budget.begin_step()
    budget.add_answer(999, 500, 1.0)
    budget.begin_step()
    budget.add_answer(1000, 1, 1.0)

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.CONTEXT_OVERFLOW
    assert budget.usage.steps == 2
