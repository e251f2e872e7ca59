"""What OpenHands' events are as steps: one for each answer of the model.

Runs in OpenHands' environment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from openhands.sdk.event import (
    ActionEvent,
    AgentErrorEvent,
    Condensation,
    Event,
    MessageEvent,
    ObservationBaseEvent,
    ObservationEvent,
)
from openhands.sdk.llm import TextContent
from openhands.tools.file_editor.definition import FileEditorAction
from openhands.tools.terminal.definition import TerminalAction

from orchestrator.agents.runners.line import MAX_SENT_CHARS, shorten

Send = Callable[..., None]
CALL_BEGINS = "<function="
"""Where an answer's thought ends, in the form of calls that are text."""


class Steps:
    """Takes events in, and sends a step to the worker when the next answer is asked for."""

    def __init__(self, send: Send, event_log: Path) -> None:
        self.unusable = 0
        """Answers in a row of which nothing could be done."""
        self._send = send
        self._event_log = event_log
        self._answer: dict[str, Any] | None = None
        self._events: list[Event] = []

    def take(self, event: Event) -> None:
        """Called by OpenHands, for each event as it comes."""
        with self._event_log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(event.model_dump_json() + "\n")
        self._events.append(event)
        if isinstance(event, ActionEvent) and event.action is not None:
            self._send("activity", text=command_of(event)[:500])

    def begin(self, answer: dict[str, Any]) -> None:
        """An answer has come: what follows is its step."""
        self._answer, self._events = answer, []

    def end(self, reminder: str = "") -> None:
        """Send the step of the last answer, if there is one that was not sent. `reminder` is what
        the model is shown beside what came of it."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        step = step_of(answer, self._events)
        self.unusable = 0 if step["action"] else self.unusable + 1
        if step["shown"] and reminder:
            step["shown"] += f"\n\n{reminder}"
        self._send("step", **step)


def step_of(answer: dict[str, Any], events: list[Event]) -> dict[str, Any]:
    """A step in the worker's words, of an answer and the events that it led to."""
    said = str(answer["content"])
    actions = [e for e in events if isinstance(e, ActionEvent) and e.action is not None]
    condensed = [e for e in events if isinstance(e, Condensation)]
    action = "\n".join(command_of(event) for event in actions)
    if condensed:
        said, action = "", "(the history is condensed)"
    printed = [_printed(e) for e in events if isinstance(e, ObservationBaseEvent)]
    printed += [str(event.summary) for event in condensed]
    shown = [text for text in map(_shown, events) if text]
    return {
        "thought": said.partition(CALL_BEGINS)[0] if action else said,
        "action": action,
        "observation": shorten("\n".join(printed), MAX_SENT_CHARS) if action else "",
        "shown": "\n\n".join(shown) or None,
        "refused": next((e.error for e in events if _is_refused(e)), ""),
    }


def command_of(event: ActionEvent) -> str:
    """A call in a form that people read: a shell's command as it is, others by their arguments."""
    action = event.action
    if isinstance(action, TerminalAction):
        marks = [name for name in ("reset", "is_input") if getattr(action, name)]
        return f"[{', '.join(marks)}] {action.command}" if marks else action.command or "(waits)"
    given: dict[str, Any] = action.model_dump(exclude_none=True, exclude={"kind"}) if action else {}
    lead = " ".join([str(given.pop("command", "")), str(given.pop("path", ""))])
    words = [event.tool_name, *(lead.split(" ", 1) if isinstance(action, FileEditorAction) else [])]
    lines = [" ".join(filter(None, words))]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in given.items())])


def _is_refused(event: Event) -> bool:
    """Whether it tells of a call whose parameters OpenHands does not take."""
    return isinstance(event, AgentErrorEvent) and event.error.startswith("Error validating tool")


def _printed(event: ObservationBaseEvent) -> str:
    if isinstance(event, ObservationEvent):
        return str(event.observation.text)
    return event.error if isinstance(event, AgentErrorEvent) else ""


def _shown(event: Event) -> str:
    """What the model is shown of an event that is not its own."""
    is_told = isinstance(event, MessageEvent) and event.source != "agent"
    if not is_told and not isinstance(event, ObservationBaseEvent):
        return ""
    assert isinstance(event, MessageEvent | ObservationBaseEvent)
    content = event.to_llm_message().content
    return "\n".join(part.text for part in content if isinstance(part, TextContent))
