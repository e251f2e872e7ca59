from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.trajectory import FORMAT, Step, Trajectory, read_mini

MESSAGES = [
    {"role": "system", "content": "be careful"},
    {"role": "user", "content": "an issue"},
    {
        "role": "assistant",
        "content": "THOUGHT: look\n\n```mswea_bash_command\nls\n```",
        "extra": {
            "actions": [{"command": "ls"}],
            "timestamp": 12.5,
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0},
        },
    },
    {"role": "user", "content": "<returncode>0</returncode>"},
    {"role": "assistant", "content": "I am done thinking.", "extra": {}},
]


def write(path: Path, messages: object) -> Path:
    path.write_text(json.dumps({"messages": messages, "info": {"more": 1}}), encoding="utf-8")
    return path


def test_each_answer_becomes_a_step_with_what_came_of_it(tmp_path: Path) -> None:
    trajectory = read_mini(write(tmp_path / "t.json", MESSAGES))

    first, second = trajectory.steps
    assert first == Step("THOUGHT: look", "ls", "<returncode>0</returncode>", 12.5, 7, 3)
    assert second == Step("I am done thinking.", "", "")


def test_two_answers_in_a_row_do_not_observe_each_other(tmp_path: Path) -> None:
    messages = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]

    assert [s.observation for s in read_mini(write(tmp_path / "t", messages)).steps] == ["", ""]


def test_an_answer_without_content_is_a_step(tmp_path: Path) -> None:
    steps = read_mini(write(tmp_path / "t", [{"role": "assistant", "content": None}])).steps

    assert steps == (Step("", "", ""),)


def test_an_absent_file_is_a_trajectory_of_no_steps(tmp_path: Path) -> None:
    assert read_mini(tmp_path / "absent.json") == Trajectory(())


@pytest.mark.parametrize("kept", [0, 1, 20, 200])
def test_a_file_cut_off_in_the_middle_is_a_trajectory_of_no_steps(
    tmp_path: Path, kept: int
) -> None:
    path = write(tmp_path / "t.json", MESSAGES)
    path.write_bytes(path.read_bytes()[:kept])

    assert read_mini(path) == Trajectory(())


def test_our_form_names_itself_and_keeps_every_letter(tmp_path: Path) -> None:
    text = Trajectory((Step("größer", "ls", "ok"),)).to_json()

    assert "größer" in text
    assert json.loads(text)["format"] == FORMAT
    assert json.loads(text)["steps"][0]["action"] == "ls"
