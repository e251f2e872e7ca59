"""The forms of answer that agents ask for; the scripted endpoint finds out which, and uses it.

A persona says what it does; a protocol says in which words: a fenced block, tags, or a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.scripted.actions import SUBMIT, Action, Edit, Incomplete
from orchestrator.scripted.calls import call_of, complaints_in, tools_in, tools_told, workdir_told


class Protocol(StrEnum):
    MINI = "mini"
    THOUGHT_ACTION = "thought_action"
    XML = "xml_thought_action"
    CALLS = "function_calling"


@dataclass(frozen=True)
class AnswerForm:
    """How a request wants to be answered."""

    protocol: Protocol
    tools: tuple[str, ...] = ()
    """The functions that may be called, by name."""
    as_text: bool = False
    """Calls are written into the answer's text; the prompt tells of the functions."""
    workdir: str = ""
    """Where the agent's shell started, if the conversation tells it."""

    @property
    def by_calls(self) -> bool:
        """Function calling as servers do it."""
        return self.protocol is Protocol.CALLS and not self.as_text


def answer_form(request: Mapping[str, Any]) -> AnswerForm:
    """The form of answer that the agent asks for, judged by its request."""
    messages = request["messages"]
    workdir = next(filter(None, map(workdir_told, _observations(messages))), "")
    if request.get("tools"):
        return AnswerForm(Protocol.CALLS, tools_in(request), workdir=workdir)
    system = "\n".join(text_of(message) for message in messages[:2])
    if told := tools_told(system):
        return AnswerForm(Protocol.CALLS, told, as_text=True, workdir=workdir)
    if "mswea_bash_command" in system:
        return AnswerForm(Protocol.MINI)
    return AnswerForm(Protocol.XML if "<command>" in system else Protocol.THOUGHT_ACTION)


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says, in one piece. Raises KeyError where it has no content."""
    content = message["content"]
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content)


def answers_before(messages: Sequence[Mapping[str, Any]], form: AnswerForm) -> int:
    """How often the model was answered already, as far as the conversation tells.

    Of an answer whose call as text it could not read, OpenHands keeps its complaint alone, at the
    end of what the user has said before.
    """
    kept = sum(1 for message in messages if message["role"] == "assistant")
    users = (text_of(message) for message in messages if message["role"] == "user")
    return kept + (sum(map(complaints_in, users)) if form.as_text else 0)


def _observations(messages: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    return [text_of(m) for m in messages[2:] if m["role"] in ("user", "tool")]


def message_of(thought: str, action: Action | None, form: AnswerForm, turn: int) -> dict[str, Any]:
    """An assistant's message; without an action it is text that no protocol accepts."""
    message: dict[str, Any] = {"role": "assistant", "content": thought, "tool_calls": []}
    if action is None:
        return message
    if form.protocol is Protocol.CALLS:
        call = call_of(action, thought, form.tools, form.workdir)
        if form.as_text:
            return message | {"content": f"{thought}\n\n{call.text()}"}
        return message | {"tool_calls": [call.message(turn)]}
    if isinstance(action, Incomplete):
        return message
    command = action.command if isinstance(action, Edit) else action
    match form.protocol:
        case Protocol.MINI:
            if command == SUBMIT:
                command = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
            text = f"THOUGHT: {thought}\n\n```mswea_bash_command\n{command}\n```"
        case Protocol.XML:
            text = f"{thought}\n\n<command>\n{command}\n</command>"
        case _:
            text = f"{thought}\n\n```\n{command}\n```"
    return message | {"content": text}
