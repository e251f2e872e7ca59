"""The forms of answer side by side: how each is asked for, read, and answered. Pure, but for the
profiles that are read.

The texts that say what form an answer has are those of the agents' profiles. The small parsers do
what the agents' own ones do: SWE-agent's lies in an environment of its own, mini-swe-agent's behind
an import of its whole agent. A test holds them together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.keys import nearest
from orchestrator.config.load import RunRequest, load_config
from orchestrator.diagnose.tasks import (
    SMALL_TOOLS,
    Detail,
    Sizes,
    complaint,
    first_step,
    handbook,
    issue,
    manual,
    result_of,
    tools_for,
)
from orchestrator.errors import ConfigError
from orchestrator.scripted.protocols import Protocol

_FENCE = re.compile(r"^```(\S*)\s*\n|^```\s*$", re.MULTILINE)
_MINI = re.compile(r"```mswea_bash_command\s*\n(.*?)\n```", re.DOTALL)


@dataclass(frozen=True)
class Form:
    """A protocol as people meet it."""

    protocol: Protocol
    profile: str
    """Of the agent that speaks it."""
    label: str
    takes_several: bool
    """An answer with several commands is no mistake: the agent takes the last one."""

    @property
    def is_text(self) -> bool:
        return self.protocol is not Protocol.CALLS


FORMS = (
    Form(Protocol.CALLS, "sweagent-tools", "function calling", True),
    Form(Protocol.THOUGHT_ACTION, "sweagent", "fenced text", True),
    Form(Protocol.XML, "sweagent-xml", "tagged text", True),
    Form(Protocol.MINI, "mini-edit", "mini's blocks", False),
)
FORM_OF = {form.protocol: form for form in FORMS}


AGENTS = {form.profile: form for form in FORMS} | {"mini": FORM_OF[Protocol.MINI]}


def forms_of(agents: Sequence[str]) -> tuple[Form, ...]:
    """Those that agents speak, by their profiles' names; all where none is named.

    Raises:
        ConfigError: there is no such profile among those that are tried.
    """
    for name in agents:
        if name not in AGENTS:
            hint = nearest(name, list(AGENTS))
            raise ConfigError(f"--agent {name}: diagnose knows no form of its answers{hint}")
    wanted = {AGENTS[name] for name in agents}
    return tuple(form for form in FORMS if not wanted or form in wanted)


def system_templates(config_dirs: tuple[Path, ...] = ()) -> dict[Protocol, str]:
    """What the agents' profiles say about the form of an answer. Raises ConfigError."""

    def read(profile: str) -> str:
        request = RunRequest("demo", model="scripted", agent=profile, config_dirs=config_dirs)
        return str(getattr(load_config(request).agent, "system_template", ""))

    return {form.protocol: read(form.profile) for form in FORMS}


@dataclass(frozen=True)
class Opening:
    """The first request of a conversation."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    """That the model is told of; a text protocol has them in its prompt."""


def open_small(template: str, number: int) -> Opening:
    """One call with two tools. `number` tells conversations apart."""
    tools = tools_for(Detail.FULL, SMALL_TOOLS)
    return Opening(_messages(template, first_step(number)), tools)


def open_full(form: Form, template: str, number: int, sizes: Sizes) -> Opening:
    """Many tools and a long system prompt."""
    tools = tools_for(sizes.detail, sizes.tools)
    parts = [template, handbook(sizes.handbook_chars)]
    if form.is_text:
        parts.append(manual(tools))
    return Opening(_messages("\n".join(part for part in parts if part), issue(number)), tools)


def _messages(system: str, user: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def commands_in(text: str, protocol: Protocol) -> list[str]:
    """The commands that an agent would see in a text, blank ones too.

    `takes_several` says what it does with more than one.
    """
    return [command.strip() for command in _READERS[protocol](text)]


def _fenced(text: str) -> list[str]:
    """Blocks that lie in no other, as SWE-agent's ThoughtActionParser finds them."""
    found: list[str] = []
    open_fences: list[re.Match[str]] = []
    for fence in _FENCE.finditer(text):
        if open_fences and not fence.group(1):
            start = open_fences.pop()
            if not open_fences:
                found.append(text[start.end() : fence.start()])
        elif fence.group(1) is not None:
            open_fences.append(fence)
    return found


def _in_tags(text: str) -> list[str]:
    """What lies between the last tags, as SWE-agent's XMLThoughtActionParser takes it."""
    start, end = text.rfind("<command>"), text.rfind("</command>")
    if start < 0 or end < 0:
        return []
    return [text[start + len("<command>") : end]]


def _in_minis_block(text: str) -> list[str]:
    return _MINI.findall(text)


_READERS: dict[Protocol, Callable[[str], list[str]]] = {
    Protocol.CALLS: lambda text: [],
    Protocol.THOUGHT_ACTION: _fenced,
    Protocol.XML: _in_tags,
    Protocol.MINI: _in_minis_block,
}
_OBSERVATIONS = {
    Protocol.THOUGHT_ACTION: "OBSERVATION:\n{}",
    Protocol.XML: "OBSERVATION:\n{}",
    Protocol.MINI: "<returncode>0</returncode>\n<output>\n{}\n</output>",
}


def go_on(protocol: Protocol, message: Mapping[str, Any], sizes: Sizes) -> list[dict[str, Any]]:
    """What a conversation grows by after a usable answer: the answer, and what came of it."""
    content = str(message.get("content") or "")
    if protocol is not Protocol.CALLS:
        command = commands_in(content, protocol)[-1]
        seen = _OBSERVATIONS[protocol].format(result_of(command, sizes.result_chars))
        return [{"role": "assistant", "content": content}, {"role": "user", "content": seen}]
    calls = message["tool_calls"]
    results = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": result_of(
                f"{call['function']['name']} {call['function']['arguments']}", sizes.result_chars
            ),
        }
        for call in calls
    ]
    return [{"role": "assistant", "content": content, "tool_calls": calls}, *results]


def ask_again(message: Mapping[str, Any], why: str) -> list[dict[str, Any]]:
    """The same after an answer that can't be used: as agents do, calls are left out."""
    content = str(message.get("content") or "")[:2000] or " "  # servers refuse empty answers
    return [
        {"role": "assistant", "content": content},
        {"role": "user", "content": complaint(why)},
    ]
