"""mini-swe-agent's loop on what it is given: answers in, commands out, each step recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.agents.budget import Budget
from orchestrator.agents.context import AgentContext
from orchestrator.agents.mini.agent import MiniAgent
from orchestrator.agents.steps import Step
from orchestrator.agents.templates import TemplateSettings
from orchestrator.backends import ExecResult, Sandbox
from orchestrator.config.schema import RolloutLimits
from orchestrator.endpoint.client import ChatClient, Completion
from orchestrator.endpoint.fields import Tokens
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance, Outcome

SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


class Script:
    """A model that gives these answers, and a sandbox in which every command prints the same."""

    workdir = "/testbed"

    def __init__(self, answers: list[str], prints: str | Exception) -> None:
        self._answers, self._prints = answers, prints

    def complete(self, messages: Any, tools: Any = None) -> Completion:
        return Completion(self._answers.pop(0), "stop", False, Tokens(7, 3), 0.1)

    def exec(self, command: str, timeout_s: float) -> ExecResult:
        if isinstance(self._prints, Exception):
            raise self._prints
        is_end = command.endswith(SUBMIT)
        return ExecResult((SUBMIT.split()[1] if is_end else self._prints).encode(), 0)


def fenced(command: str) -> str:
    return f"THOUGHT: on\n\n```mswea_bash_command\n{command}\n```"


def play(
    folder: Path, answers: list[str], prints: str | Exception = "a.py", **settings: Any
) -> tuple[Outcome, list[Step]]:
    script = Script(answers, prints)
    budget = Budget(RolloutLimits())
    context = AgentContext(
        Instance("a__b-1", "a/b", "c0ffee", "an issue", "an-image"),
        cast(Sandbox, script),
        "a-tree",
        folder,
        budget,
        cast(ChatClient, script),
    )
    agent = MiniAgent(TemplateSettings(name="mini", kind="mini", **settings))
    try:
        return agent.run(context), budget.steps
    except SandboxUnavailable:
        return Outcome.GAVE_UP, budget.steps


def test_a_step_has_what_was_printed_and_the_template_that_was_shown(tmp_path: Path) -> None:
    outcome, (first, last) = play(
        tmp_path, [fenced("ls"), fenced(SUBMIT)], observation_template="seen: {{output.output}}"
    )

    assert outcome is Outcome.SUBMITTED
    assert (first.thought, first.action) == ("THOUGHT: on", "ls")
    assert (first.observation, first.shown) == ("a.py", "seen: a.py")
    assert (first.prompt_tokens, first.completion_tokens) == (7, 3)
    assert (last.action, last.shown) == (SUBMIT, None)


def test_the_model_is_shown_less_than_is_printed(tmp_path: Path) -> None:
    long = "start" + "x" * 1000 + "end"

    _, (step, _) = play(
        tmp_path, [fenced("ls"), fenced(SUBMIT)], prints=long, observation_chars=100
    )

    assert step.observation == long
    assert step.shown is not None
    assert "908 characters left out; ask for less with grep" in step.shown
    assert "start" in step.shown
    assert "end\n</output>" in step.shown


@pytest.mark.parametrize("answer", ["I would look.", fenced("ls") + fenced("pwd")])
def test_an_answer_without_one_command_is_a_step_with_what_was_wrong(
    tmp_path: Path, answer: str
) -> None:
    outcome, steps = play(
        tmp_path, [answer] * 2, max_format_errors=2, format_error_template="Give one."
    )

    assert outcome is Outcome.FORMAT_ERRORS
    assert [(s.thought, s.action, s.observation, s.shown) for s in steps] == [
        (answer, "", "", "Give one.")
    ] * 2


@pytest.mark.parametrize(
    "command",
    ["y" * 5_000_000, "a\x03\x1b[2J", "\ufffd", "[/bold]", "{{ 1 / 0 }}", "a\u2028b", " "],
)
@pytest.mark.parametrize("prints", ["a\0\x1b[2J", "{{ task }}", "y" * 5_000_000, "</output>"])
def test_whatever_is_said_and_printed_is_a_step(tmp_path: Path, command: str, prints: str) -> None:
    outcome, (first, _) = play(tmp_path, [fenced(command), fenced(SUBMIT)], prints)

    assert outcome is Outcome.SUBMITTED
    assert first.action == command.strip()
    assert first.shown is not None


def test_the_command_that_a_sandbox_did_not_survive_is_a_step(tmp_path: Path) -> None:
    _, (step,) = play(tmp_path, [fenced("ls")], prints=SandboxUnavailable("gone"))

    assert (step.action, step.observation) == ("ls", "")
