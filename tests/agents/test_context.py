"""What an agent is given: asking and recording keep the limits and stamp the steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.agents.context import AgentContext
from orchestrator.agents.steps import MAX_OBSERVATION_CHARS, Step, trajectory_json
from orchestrator.backends import Sandbox
from orchestrator.config.schema import RolloutLimits
from orchestrator.endpoint.client import ChatClient, Completion, ContextOverflow
from orchestrator.endpoint.fields import Tokens
from orchestrator.endpoint.tool_calls import MAX_DETAIL, CallProblem
from orchestrator.errors import RequestRefused
from orchestrator.types import CallCounts, Instance, Outcome, Usage

ASKED = [{"role": "user", "content": "an issue"}]


class Client:
    """Answers everything alike, or raises."""

    def __init__(self, error: Exception | None = None, *calls: dict[str, Any]) -> None:
        self.error = error
        self.calls = calls
        self.asked: list[tuple[Any, Any]] = []

    def complete(self, messages: Any, tools: Any = None) -> Completion:
        self.asked.append((messages, tools))
        if self.error is not None:
            raise self.error
        return Completion("I look.", "stop", False, Tokens(70, 9), 1.5, self.calls)


def context_of(client: Client, tmp_path: Path, **limits: Any) -> tuple[AgentContext, Budget]:
    instance = Instance("a__b-1", "a/b", "c0ffee", "an issue", "an-image")
    budget = Budget(RolloutLimits(**limits))
    sandbox = cast(Sandbox, None)
    context = AgentContext(instance, sandbox, "a-tree", tmp_path, budget, cast(ChatClient, client))
    return context, budget


def test_asking_takes_a_step_and_counts_the_call(tmp_path: Path) -> None:
    client = Client()
    context, budget = context_of(client, tmp_path, max_steps=2)
    tools = [{"type": "function"}]

    answer = context.ask(ASKED, tools)

    assert answer.content == "I look."
    assert client.asked == [(ASKED, tools)]
    assert budget.usage == Usage(1, 70, 9, 1.5)
    assert (context.steps_left, context.max_steps) == (1, 2)
    assert context.activity == "asks the model"


def called(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


PARAMETERS = {"properties": {"command": {"type": "string"}}, "required": ["command"]}
BASH = {"type": "function", "function": {"name": "bash", "parameters": PARAMETERS}}


def test_calls_of_functions_that_were_offered_are_counted_with_what_was_wrong(
    tmp_path: Path,
) -> None:
    client = Client(None, called("bash", '{"command": "ls"}'), called("bash", "{}"))
    context, budget = context_of(client, tmp_path)
    assert budget.calls is None

    context.ask(ASKED, [BASH])
    context.ask(ASKED, [BASH])
    client.calls = ()
    context.ask(ASKED, [BASH])

    assert budget.calls == CallCounts(
        5, {"missing parameters": 2, "no call": 1}, {"bash lacks command": 2}
    )
    assert budget.calls.broken == 3


@pytest.mark.parametrize("tools", [None, []])
def test_where_no_function_is_offered_there_is_none_to_be_called(
    tools: list[dict[str, Any]] | None, tmp_path: Path
) -> None:
    context, budget = context_of(Client(), tmp_path)

    context.ask(ASKED, tools)

    assert budget.calls is None


def test_an_agent_that_reads_calls_from_text_says_how_they_were(tmp_path: Path) -> None:
    context, budget = context_of(Client(), tmp_path)
    context.ask(ASKED)

    context.note_call(None)
    context.note_call(CallProblem.MALFORMED, "an end\nis missing: \x1b[2J\ud83d" + "x" * 10_000)
    context.note_call(CallProblem.NO_CALL)

    assert budget.calls is not None
    assert (budget.calls.calls, budget.calls.broken) == (3, 2)
    (detail,) = budget.calls.details
    assert detail.startswith("an end is missing: \ufffdx")
    assert len(detail) <= MAX_DETAIL


def test_a_fault_that_only_the_function_finds_makes_its_call_a_broken_one(tmp_path: Path) -> None:
    context, budget = context_of(Client(), tmp_path)

    context.note_call(None)
    context.note_fault(CallProblem.MISSING, "file_editor insert lacks insert_line")

    assert budget.calls is not None
    assert (budget.calls.calls, budget.calls.problems) == (1, {"missing parameters": 1})
    assert budget.calls.details == {"file_editor insert lacks insert_line": 1}


def test_a_model_that_makes_up_names_without_end_fills_no_memory(tmp_path: Path) -> None:
    context, budget = context_of(Client(), tmp_path)

    for number in range(1000):
        context.note_call(CallProblem.UNKNOWN_TOOL, f"there is no tool {number}")
        context.note_call(CallProblem.UNKNOWN_TOOL, "there is no tool 0")

    assert budget.calls is not None
    assert budget.calls.problems == {"unknown tool": 2000}
    assert len(budget.calls.details) == CallCounts.MAX_DETAILS
    assert budget.calls.details["there is no tool 0"] == 1001


def test_beyond_a_limit_the_model_is_not_asked(tmp_path: Path) -> None:
    client = Client()
    context, _ = context_of(client, tmp_path, max_steps=1)
    context.ask(ASKED)

    with pytest.raises(LimitReached) as caught:
        context.ask(ASKED)

    assert caught.value.outcome is Outcome.STEP_LIMIT
    assert len(client.asked) == 1


def test_messages_that_do_not_fit_are_a_limit(tmp_path: Path) -> None:
    context, budget = context_of(Client(ContextOverflow("too long")), tmp_path)

    with pytest.raises(LimitReached) as caught:
        context.ask(ASKED)

    assert caught.value.outcome is Outcome.CONTEXT_OVERFLOW
    assert budget.usage.steps == 1


def test_errors_of_the_world_are_passed_on(tmp_path: Path) -> None:
    context, _ = context_of(Client(RequestRefused("no")), tmp_path)

    with pytest.raises(RequestRefused):
        context.ask(ASKED)


def test_a_step_is_stamped_with_the_answer_that_led_to_it(tmp_path: Path) -> None:
    context, budget = context_of(Client(), tmp_path)
    before = time.time()
    context.ask(ASKED)
    context.ask(ASKED)

    context.record("I look.", "ls", "a.py", "<output>a.py</output>")
    context.record("I go on.", "pwd", "/testbed", "/testbed")

    first, second = budget.steps
    assert (first.action, first.observation, first.shown) == ("ls", "a.py", "<output>a.py</output>")
    assert (first.prompt_tokens, first.completion_tokens) == (70, 9)
    assert first.time is not None
    assert before <= first.time <= time.time()
    assert second == Step("I go on.", "pwd", "/testbed"), "no answer of its own, nothing differs"


def test_a_very_long_output_is_not_carried_about(tmp_path: Path) -> None:
    context, budget = context_of(Client(), tmp_path)

    context.record("", "cat large.txt", "a" * 10 * MAX_OBSERVATION_CHARS, "cut")

    (step,) = budget.steps
    assert len(step.observation) < MAX_OBSERVATION_CHARS + 100
    assert step.shown == "cut"


def test_agents_that_ask_no_model_take_steps_themselves(tmp_path: Path) -> None:
    context, budget = context_of(Client(), tmp_path, max_steps=1)
    context.begin_step()

    with pytest.raises(LimitReached):
        context.begin_step()

    assert budget.usage.steps == 1


def test_commands_have_the_rollouts_limit(tmp_path: Path) -> None:
    context, _ = context_of(Client(), tmp_path, command_timeout_s=30)

    assert context.command_timeout_s() == 30


def test_half_a_surrogate_pair_costs_no_step(tmp_path: Path) -> None:
    """JSON may hold one, and files may not."""
    context, budget = context_of(Client(), tmp_path)
    context.record("I see \ud83d", "echo \ud83d", "\ud83d", shown="out: \ud83d")

    (step,) = budget.steps
    assert (step.thought, step.action, step.observation) == (
        "I see \ufffd",
        "echo \ufffd",
        "\ufffd",
    )
    assert step.shown == "out: \ufffd"
    assert "I see \ufffd" in trajectory_json(budget.steps).encode("utf-8").decode()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("ls\npwd", "ls"),
        ("\n\n  ls -a  \n", "ls -a"),
        ("", "(nothing)"),
        (" \n", "(nothing)"),
        ("echo \x1b[2J\u202e[/bold]\ud83d\0", "echo [/bold]\ufffd\ufffd"),
        ("y" * 200_000, "y" * 200),
        ("\x1b[31m", "(nothing)"),
        ("a\u2028b", "a"),
    ],
)
def test_what_an_agent_does_is_one_line_for_the_display(
    command: str, line: str, tmp_path: Path
) -> None:
    context, budget = context_of(Client(), tmp_path)

    context.activity = command

    assert budget.activity == line
