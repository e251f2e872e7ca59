from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.steps import Step, trajectory_json
from orchestrator.evidence.trajectories import read_steps

STEPS = [
    Step("I look.", "ls", "a\nb", None, 12.5, 10, 3),
    Step("größer", "cat 'x'", "\x1b[31mred", "cut", None, None, None),
]
WHOLE = trajectory_json(STEPS).encode()


def test_a_trajectory_is_read_as_it_was_written() -> None:
    assert read_steps(WHOLE) == (STEPS, "")


def test_a_trajectory_of_the_first_version_is_read() -> None:
    old = {"format": "swe-orchestrator-1", "steps": [{"thought": "t", "action": "a"}]}

    steps, problem = read_steps(json.dumps(old).encode())

    assert steps == [Step("t", "a", "")]
    assert problem == ""


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7, 0.95])
def test_a_trajectory_that_was_cut_off_is_read_as_far_as_it_goes(share: float) -> None:
    many = trajectory_json([STEPS[0]] * 20).encode()

    steps, problem = read_steps(many[: int(len(many) * share)])

    assert steps[0] == STEPS[0]
    assert 20 * share - 2 <= len(steps) <= 20 * share + 1
    assert "no whole JSON" in problem


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no whole JSON"),
        (b"\0\0\0\0", "no whole JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"{}", "no list of steps"),
        (b'{"steps": {}}', "no list of steps"),
        (b'{"format": "swe-orchestrator-2", "steps": [null, 3, "x"]}', "3 of its 3 steps"),
        (b'{"format": "swe-agent", "steps": []}', "its format is 'swe-agent'"),
        (b"[" * 100_000, "no"),
    ],
)
def test_what_is_no_trajectory_is_one_line(data: bytes, says: str) -> None:
    steps, problem = read_steps(data)

    assert list(steps) == []
    assert says in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('"half \\ud83d"', "half \ufffd"),
        ("null", ""),
        ("[1, 2]", "[1, 2]"),
        ("true", "true"),
    ],
)
def test_odd_values_of_a_step_are_text(text: str, action: str) -> None:
    data = f'{{"format": "swe-orchestrator-2", "steps": [{{"action": {text}}}]}}'.encode()

    steps, problem = read_steps(data)

    assert (steps[0].action, problem) == (action, "")


def test_a_file_with_odd_bytes_is_read() -> None:
    steps, problem = read_steps(b"\xef\xbb\xbf" + WHOLE.replace(b"look", b"l\xffk"))

    assert (steps[0].thought, problem) == ("I l\ufffdk.", "")


@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    for whole in (data, WHOLE[:90] + data, WHOLE[:200] + data + WHOLE[210:]):
        steps, _ = read_steps(whole)
        assert all(isinstance(step.action, str) for step in steps)


@pytest.mark.parametrize("value", ["NaN", "1e400", '"x"', "true", "-1e300", "null"])
def test_odd_numbers_of_a_step_are_none(value: str) -> None:
    data = f'{{"format": "swe-orchestrator-2", "steps": [{{"prompt_tokens": {value}}}]}}'

    steps, _ = read_steps(data.encode())

    assert steps[0].prompt_tokens is None
