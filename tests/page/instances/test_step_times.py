from __future__ import annotations

from dataclasses import replace

import pytest
from support.rows import asked, rolled

from orchestrator.agents.steps import Step
from orchestrator.page.instances.step_times import StepTime, step_times
from orchestrator.types import ModelRequest, RolloutRecord

ROLLOUT = rolled("a", started_at=90.0, ended_at=150.0).record


def steps(*times: float | None) -> list[Step]:
    return [Step("", "ls", "", time=time) for time in times]


def requests(*starts: float) -> list[ModelRequest]:
    return [replace(asked(), started_at=start) for start in starts]


def seconds(found: tuple[StepTime, ...]) -> list[tuple[float | None, float | None, float | None]]:
    return [(time.model_s, time.command_s, time.whole_s) for time in found]


def test_a_step_is_its_request_and_then_its_command() -> None:
    found = step_times(steps(110, 130), ROLLOUT, requests(125, 100))

    assert seconds(found) == [(10, 15, 25), (5, 20, 25)]


def test_a_step_that_was_asked_for_twice_took_both() -> None:
    found = step_times(steps(110, 130), ROLLOUT, requests(100, 112, 120))

    assert seconds(found) == [(10, 2, 12), (18, 20, 38)]


def test_without_requests_a_step_lasts_from_answer_to_answer() -> None:
    assert seconds(step_times(steps(110, 130), ROLLOUT, [])) == [(None,) * 3, (None, None, 20)]


@pytest.mark.parametrize(
    ("times", "starts"),
    [
        pytest.param((None, None), (100, 120), id="no times"),
        pytest.param((110, 50), (), id="clock set back"),
        pytest.param((1e300, 2e300), (100,), id="far away"),
        pytest.param((110, 130), (1000,), id="another clock"),
        pytest.param((), (1.0,), id="no steps"),
    ],
)
def test_odd_clocks_give_no_negative_times(
    times: tuple[float | None, ...], starts: tuple[float, ...]
) -> None:
    found = step_times(steps(*times), ROLLOUT, requests(*starts))

    assert len(found) == len(times)
    assert all(value is None or value >= 0 for time in seconds(found) for value in time)


def test_a_rollout_without_an_end_gives_its_last_command_no_time() -> None:
    rollout: RolloutRecord = replace(ROLLOUT, ended_at=0.0)

    assert seconds(step_times(steps(110), rollout, requests(100))) == [(10, None, 10)]
