"""How the rollout answers the messages of SWE-agent's process, without that process."""

from __future__ import annotations

from typing import Any, cast

import pytest

from orchestrator.agents.budget import LimitReached
from orchestrator.agents.context import AgentContext, Completion
from orchestrator.agents.runners.process import Runner
from orchestrator.agents.sweagent.agent import SweAgent
from orchestrator.agents.sweagent.server import SandboxServer
from orchestrator.agents.sweagent.settings import SweAgentSettings
from orchestrator.endpoint.fields import Tokens
from orchestrator.types import Outcome

EARLY = "diff --git a/f b/f\n-1\n+2\n"
LATE = "diff --git a/f b/f\n-1\n+größer\n"
END = {"kind": "end", "exit_status": "submitted", "detail": ""}
QUERY = {"kind": "query", "messages": [{"role": "user", "content": "an issue"}], "tools": None}


class Process:
    """Sends these messages, and keeps those that it is sent."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = [*messages, END]
        self.sent: list[dict[str, Any]] = []

    def receive(self) -> dict[str, Any]:
        return self._messages.pop(0)

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append({"kind": kind, **fields})


class Context:
    """Keeps what is recorded; answers, or has reached a limit."""

    activity = ""
    steps_left = 4

    def __init__(self, limit: Outcome | None = None) -> None:
        self._limit = limit
        self.recorded: list[tuple[str | None, ...]] = []

    def ask(self, messages: Any, tools: Any) -> Completion:
        if self._limit is not None:
            raise LimitReached(self._limit)
        return Completion("I look.", "stop", False, Tokens(70, 9), 1.0)

    def record(self, *step: str | None) -> None:
        self.recorded.append(step)


class Server:
    """Answers with what it was asked; or is gone, until it is started again."""

    def __init__(self, is_gone: bool = False) -> None:
        self.is_gone = is_gone

    def ask(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        return {"gone": "killed"} if self.is_gone else {"answer": {verb: request}}

    def restart(self) -> None:
        self.is_gone = False


def converse(process: Process, context: Context, server: Server | None = None) -> SweAgent:
    agent = SweAgent(SweAgentSettings(name="sweagent", kind="sweagent"))
    end = agent._converse(
        cast(Runner, process), cast(AgentContext, context), cast(SandboxServer, server)
    )
    assert end == END
    return agent


def step(action: str, diff: str = "", thought: str = "I look.\n") -> dict[str, Any]:
    said = {"thought": thought, "action": action, "observation": "a.py\n", "shown": "Seen: a.py"}
    return {"kind": "step", "diff": diff, **said}


def test_a_query_is_answered_from_the_model() -> None:
    process = Process(QUERY)

    converse(process, Context())

    (answer,) = process.sent
    assert (answer["kind"], answer["content"], answer["steps_left"]) == ("answer", "I look.", 4)
    assert answer["usage"] == {"prompt_tokens": 70, "completion_tokens": 9}


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        (Outcome.STEP_LIMIT, "limit"),
        (Outcome.TIME_LIMIT, "limit"),
        (Outcome.CONTEXT_OVERFLOW, "overflow"),
    ],
)
def test_a_limit_is_passed_on_in_sweagents_words(limit: Outcome, word: str) -> None:
    process = Process(QUERY)

    converse(process, Context(limit))

    assert process.sent == [{"kind": word, "outcome": limit}]


def test_steps_are_recorded_as_they_come() -> None:
    context = Context()

    converse(Process(step("ls\n"), step("pwd\n")), context)

    assert context.recorded == [
        ("I look.", "ls", "a.py\n", "Seen: a.py"),
        ("I look.", "pwd", "a.py\n", "Seen: a.py"),
    ]


def test_what_had_changed_after_the_last_action_is_the_last_patch() -> None:
    agent = converse(Process(step("ls", EARLY), step("ls", LATE), step("", "")), Context())

    assert agent.last_patch() == LATE


def test_an_older_diff_is_not_the_last_patch() -> None:
    """Nothing is known of the last one, or everything was taken back."""
    agent = converse(Process(step("ls", EARLY), step("ls", "")), Context())

    assert agent.last_patch() == ""


def test_an_agent_that_did_nothing_has_no_last_patch() -> None:
    assert converse(Process(), Context()).last_patch() == ""


def test_what_the_process_asks_of_the_sandbox_is_answered_from_there_also_by_another_server() -> (
    None
):
    asked = {"kind": "sandbox", "verb": "execute", "request": {"command": "ls"}}
    process = Process(asked, {"kind": "restart"}, asked)

    converse(process, Context(), Server(is_gone=True))

    assert process.sent == [
        {"kind": "sandbox", "reply": {"gone": "killed"}},
        {"kind": "server"},
        {"kind": "sandbox", "reply": {"answer": {"execute": {"command": "ls"}}}},
    ]
