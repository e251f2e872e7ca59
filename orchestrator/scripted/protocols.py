"""The forms of answer that agents ask for; the scripted endpoint finds out which, and uses it.

A persona says what it does; a protocol says in which words: a fenced block, tags, or a call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SUBMIT = "submit"


class Protocol(StrEnum):
    MINI = "mini"
    THOUGHT_ACTION = "thought_action"
    XML = "xml_thought_action"
    CALLS = "function_calling"


@dataclass(frozen=True)
class Edit:
    """One change with the edit tool."""

    path: str
    old: str
    new: str

    @property
    def command(self) -> str:
        """As it is written in plain text. Both texts end with a line break."""
        return (
            f"edit {self.path} <<'END_OF_EDIT'\n<<<<<<< SEARCH\n{self.old}=======\n{self.new}"
            ">>>>>>> REPLACE\nEND_OF_EDIT"
        )


def protocol_of(request: Mapping[str, Any]) -> Protocol:
    """The form of answer that the agent asks for, judged by its request."""
    if request.get("tools"):
        return Protocol.CALLS
    system = "\n".join(str(m["content"]) for m in request["messages"][:2])
    if "mswea_bash_command" in system:
        return Protocol.MINI
    return Protocol.XML if "<command>" in system else Protocol.THOUGHT_ACTION


def message_of(
    thought: str, action: str | Edit | None, protocol: Protocol, turn: int
) -> dict[str, Any]:
    """An assistant's message; without an action it is text that no protocol accepts."""
    message: dict[str, Any] = {"role": "assistant", "content": thought, "tool_calls": []}
    if action is None:
        return message
    if protocol is Protocol.CALLS:
        return message | {"tool_calls": [_call(action, turn)]}
    command = action.command if isinstance(action, Edit) else action
    match protocol:
        case Protocol.MINI:
            if command == SUBMIT:
                command = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
            text = f"THOUGHT: {thought}\n\n```mswea_bash_command\n{command}\n```"
        case Protocol.XML:
            text = f"{thought}\n\n<command>\n{command}\n</command>"
        case _:
            text = f"{thought}\n\n```\n{command}\n```"
    return message | {"content": text}


def _call(action: str | Edit, turn: int) -> dict[str, Any]:
    if isinstance(action, Edit):
        name, arguments = "edit", {"path": action.path, "old": action.old, "new": action.new}
    elif action == SUBMIT:
        name, arguments = "submit", {}
    else:
        name, arguments = "bash", {"command": action}
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{turn}", "type": "function", "function": function}


def edits_of(patch: str) -> Sequence[Edit]:
    """A patch to files that are there already, as edits of whole lines, one a hunk."""
    found: list[Edit] = []
    path, old, new, in_hunk = "", "", "", False

    def flush() -> None:
        nonlocal old, new
        if old or new:
            found.append(Edit(path, old, new))
        old = new = ""

    for line in patch.split("\n")[:-1]:
        if line.startswith("diff --git"):
            flush()
            path, in_hunk = line.split(" b/", 1)[1].strip(), False
        elif line.startswith("@@"):
            flush()
            in_hunk = True
        elif in_hunk:
            line += "\n"
            old += line[1:] if line[0] in " -" else ""
            new += line[1:] if line[0] in " +" else ""
    flush()
    return found
