from __future__ import annotations

import pytest

from orchestrator.budget import Budget, LimitReached
from orchestrator.config.schema import Rollout
from orchestrator.types import Outcome, Usage


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_step_after_the_last_one_is_refused() -> None:
    budget = Budget(Rollout(max_steps=2))
    budget.begin_step()
    budget.begin_step()

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.STEP_LIMIT
    assert budget.usage.steps == 2


def test_tokens_of_prompt_and_completion_count_together() -> None:
    budget = Budget(Rollout(max_tokens=100))
    budget.begin_step()
    budget.add_call(90, 10, 1.5)

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.TOKEN_LIMIT
    assert budget.usage == Usage(1, 90, 10, 1.5, 0.0)


def test_the_wall_clock_ends_a_rollout() -> None:
    clock = Clock()
    budget = Budget(Rollout(time_limit_s=60), now=clock)
    clock.seconds += 60

    with pytest.raises(LimitReached) as caught:
        budget.begin_step()

    assert caught.value.outcome is Outcome.TIME_LIMIT


def test_time_in_which_the_server_was_away_does_not_count() -> None:
    clock = Clock()
    held = [0.0]
    budget = Budget(Rollout(time_limit_s=60), lambda: held[0], now=clock)
    clock.seconds += 600
    held[0] = 590

    budget.begin_step()

    assert budget.time_left_s == pytest.approx(50)
    assert budget.usage.held_s == 590


def test_a_command_gets_its_own_limit_or_what_is_left() -> None:
    clock = Clock()
    budget = Budget(Rollout(time_limit_s=100, command_timeout_s=30), now=clock)
    assert budget.command_timeout_s() == 30
    clock.seconds += 90
    assert budget.command_timeout_s() == pytest.approx(10)
    clock.seconds += 90
    assert budget.command_timeout_s() == 1.0
