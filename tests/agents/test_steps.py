from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.steps import (
    FORMAT,
    Step,
    Trajectory,
    read_mini,
    read_sweagent,
    sweagent_last_patch,
)

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

EARLY = "diff --git a/f b/f\n-1\n+2\n"
LATE = "diff --git a/f b/f\n-1\n+größer\n"


def sweagent_step(diff: str = "", **more: Any) -> dict[str, Any]:
    """A step as SWE-agent 1.1 writes it, with its own keys that nothing of ours reads."""
    return {
        "action": "ls\n",
        "observation": "a.py\n",
        "response": "I look.\n\n```\nls\n```",
        "thought": "I look.\n",
        "execution_time": 0.12,
        "state": {"working_dir": "/testbed", "diff": diff},
        "query": [],
        "extra_info": {},
    } | more


USAGE = {"prompt_tokens": 70, "completion_tokens": 9, "time": 12.5}
SWEAGENT: dict[str, Any] = {
    "trajectory": [
        sweagent_step(extra_info={"usage": USAGE, "more": 1}),
        sweagent_step(EARLY, action="sed -i s/1/2/ f", thought="I mend.", observation=""),
        sweagent_step(LATE, action="", thought="Hm.", observation=""),
        sweagent_step(action="submit", state={}, extra_info={"usage": {}}),
    ],
    "history": [{"role": "system", "content": "be careful", "agent": "main"}],
    "info": {
        "swe_agent_hash": "unavailable",
        "swe_agent_version": "1.1.0",
        "exit_status": "submitted",
        "submission": "diff --git a/f b/f\n-1\n+3\n",
        "edited_files30": "",
        "model_stats": {"instance_cost": 0, "api_calls": 4, "tokens_sent": 280},
    },
    "replay_config": "{}",
    "environment": "main",
}


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


def write_sweagent(path: Path, **more: Any) -> Path:
    path.write_text(json.dumps(SWEAGENT | more, indent=1), encoding="utf-8")
    return path


def test_sweagents_steps_come_with_what_our_runner_noted_of_each_answer(tmp_path: Path) -> None:
    trajectory = read_sweagent(write_sweagent(tmp_path / "i.traj"))

    first, *others = trajectory.steps
    assert first == Step("I look.", "ls", "a.py\n", 12.5, 70, 9)
    assert others == [
        Step("I mend.", "sed -i s/1/2/ f", ""),
        Step("Hm.", "", ""),
        Step("I look.", "submit", "a.py\n"),
    ]


def test_a_step_of_sweagents_may_lack_anything(tmp_path: Path) -> None:
    path = write_sweagent(tmp_path / "i.traj", trajectory=[{}], info={})

    assert read_sweagent(path).steps == (Step("", "", ""),)
    assert sweagent_last_patch(path) == ""


@pytest.mark.parametrize("kept", [0, 1, 20, 900, -2])
def test_a_cut_off_file_of_sweagents_has_no_steps_and_no_patch(tmp_path: Path, kept: int) -> None:
    path = write_sweagent(tmp_path / "i.traj")
    path.write_bytes(path.read_bytes()[:kept])

    assert read_sweagent(path) == Trajectory(())
    assert sweagent_last_patch(path) == ""


def test_an_absent_file_of_sweagents_has_no_steps_and_no_patch(tmp_path: Path) -> None:
    assert read_sweagent(tmp_path / "absent.traj") == Trajectory(())
    assert sweagent_last_patch(tmp_path / "absent.traj") == ""


def test_what_had_changed_after_the_last_action_is_the_last_patch(tmp_path: Path) -> None:
    steps = [action(EARLY), action(LATE), {"action": "", "thought": "exit_cost", "state": {}}]
    path = write_sweagent(tmp_path / "i.traj", trajectory=steps)

    assert sweagent_last_patch(path) == LATE


@pytest.mark.parametrize("last", [None, ""])
def test_an_older_diff_is_not_the_last_patch(tmp_path: Path, last: str | None) -> None:
    """Nothing is known of the last one, or everything was taken back."""
    path = write_sweagent(tmp_path / "i.traj", trajectory=[action(EARLY), action(last)])

    assert sweagent_last_patch(path) == ""


def action(diff: str | None) -> dict[str, Any]:
    return {"action": "ls", "state": {} if diff is None else {"diff": diff}}


def test_who_changed_nothing_has_no_last_patch(tmp_path: Path) -> None:
    path = write_sweagent(tmp_path / "i.traj", trajectory=[sweagent_step()], info={})

    assert sweagent_last_patch(path) == ""
