"""Actions as calls of the functions that a framework offers, and calls written as plain text.

Two frameworks are known by the functions that they offer: SWE-agent with this project's bundles,
and OpenHands. OpenHands can also have its calls as text: it tells of its functions in the prompt.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.scripted.actions import SUBMIT, Action, Edit, Incomplete

_TOLD = re.compile(r"^---- BEGIN FUNCTION #\d+: (\S+) ----$", re.MULTILINE)
_WORKDIR = re.compile(r"^\[Current working directory: (/.*)\]$", re.MULTILINE)
_COMPLAINT = re.compile(r"^Missing required parameters for function ", re.MULTILINE)


@dataclass(frozen=True)
class Call:
    """One function with its arguments."""

    name: str
    arguments: Mapping[str, str]

    def without(self, parameters: Collection[str]) -> Call:
        kept = {key: value for key, value in self.arguments.items() if key not in parameters}
        return Call(self.name, kept)

    def message(self, number: int) -> dict[str, Any]:
        """As an entry of an answer's `tool_calls`."""
        function = {"name": self.name, "arguments": json.dumps(self.arguments)}
        return {"id": f"call_{number}", "type": "function", "function": function}

    def text(self) -> str:
        """As OpenHands asks for it in its prompt."""
        given = [
            f"<parameter={key}>\n{value}\n</parameter>"
            if "\n" in value
            else f"<parameter={key}>{value}</parameter>"
            for key, value in self.arguments.items()
        ]
        return "\n".join([f"<function={self.name}>", *given, "</function>"])


def tools_in(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the functions that a request offers by its `tools`."""
    return tuple(str(tool.get("function", {}).get("name", "")) for tool in request["tools"] or ())


def tools_told(prompt: str) -> tuple[str, ...]:
    """The names of the functions that a prompt tells of, as OpenHands writes it."""
    return tuple(_TOLD.findall(prompt))


def workdir_told(observation: str) -> str:
    """Where OpenHands' terminal says that its shell is; empty where it does not."""
    found = _WORKDIR.search(observation)
    return found.group(1) if found else ""


def complaints_in(text: str) -> int:
    """How many calls as text OpenHands complains of that had no required parameters."""
    return len(_COMPLAINT.findall(text))


def call_of(action: Action, thought: str, tools: Collection[str], cwd: str) -> Call:
    """An action as a call of one of these functions. `cwd` is empty where it is not known.

    OpenHands' editor takes absolute paths only: without `cwd` it refuses an edit.
    """
    toolbox = _OPENHANDS if "terminal" in tools else _SWEAGENT
    if not isinstance(action, Incomplete):
        return toolbox.call(action, thought, cwd)
    call = toolbox.call(action.action, thought, cwd)
    return call.without(toolbox.required[call.name])


@dataclass(frozen=True)
class _Toolbox:
    """The functions of one framework."""

    call: Callable[[str | Edit, str, str], Call]
    """Of an action, with the thought behind it and the working directory."""
    required: Mapping[str, tuple[str, ...]]
    """By the function's name: the parameters that it must have."""


def _for_sweagent(action: str | Edit, thought: str, cwd: str) -> Call:
    if isinstance(action, Edit):
        return Call("edit", {"path": action.path, "old": action.old, "new": action.new})
    return Call("submit", {}) if action == SUBMIT else Call("bash", {"command": action})


def _for_openhands(action: str | Edit, thought: str, cwd: str) -> Call:
    about = {"summary": " ".join(thought.split())}
    if action == SUBMIT:
        return Call("finish", {"message": thought} | about)
    about |= {"security_risk": "LOW"}
    if not isinstance(action, Edit):
        return Call("terminal", {"command": action} | about)
    path = {"path": posixpath.join(cwd, action.path)}
    old, new = (text.replace("\r\n", "\n") for text in (action.old, action.new))  # as it is shown
    if not old:
        return Call("file_editor", {"command": "create"} | path | {"file_text": new} | about)
    change = {"old_str": old, "new_str": new}
    return Call("file_editor", {"command": "str_replace"} | path | change | about)


_SWEAGENT = _Toolbox(_for_sweagent, {"bash": ("command",), "edit": ("path",), "submit": ()})
_OPENHANDS = _Toolbox(
    _for_openhands,
    {"terminal": ("command",), "file_editor": ("command", "path"), "finish": ("message",)},
)
