"""Somebody else's agent, as they would write it: nothing of this project knows of it.

Its profile is strangers_agent.yaml beside this file, and names it by its import path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from orchestrator.agents.base import SimpleAgent, SimpleKind
from orchestrator.backends.host import Host
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.types import Outcome

if TYPE_CHECKING:
    from orchestrator.agents.context import AgentContext

VERSION = "7"
COMPLAINT = "Give one command in a fenced block."
SYSTEM = """You work in a Linux shell. {greeting}
Answer with a thought, and one command in a fenced block. To submit, give the command `submit`."""


class PatientSettings(AgentSettings):
    """Its own section of the configuration."""

    greeting: str
    max_format_errors: int = Field(default=3, gt=0)
    shown_chars: int = Field(default=2000, gt=0)


@dataclass(frozen=True)
class PatientKind(SimpleKind[PatientSettings]):
    """The agent as a run has it."""

    Settings: ClassVar[type[AgentSettings]] = PatientSettings

    def check(self, host: Host) -> None:
        if not self.settings.greeting:
            raise ConfigError("agent.greeting: say something")
        if self.locked_versions.get("patient", VERSION) != VERSION:
            raise PrerequisiteError("This run began with another version.", "Bring it back.")

    def versions(self) -> dict[str, str]:
        return {"patient": VERSION}

    @contextmanager
    def hold(self, platform: str) -> Iterator[None]:
        yield

    def create(self) -> PatientAgent:
        return PatientAgent(self.settings)


class PatientAgent(SimpleAgent):
    """Asks the model, runs its command, and shows it the output."""

    def __init__(self, settings: PatientSettings) -> None:
        self._settings = settings

    def run(self, context: AgentContext) -> Outcome:
        messages = [
            {"role": "system", "content": SYSTEM.format(greeting=self._settings.greeting)},
            {"role": "user", "content": context.instance.problem_statement},
        ]
        errors = 0
        while errors < self._settings.max_format_errors:
            answer = context.ask(messages).content
            thought, _, rest = answer.partition("```\n")
            command = rest.partition("\n```")[0].strip()
            if command == "submit":
                context.record(thought.strip(), command, "")
                return Outcome.SUBMITTED
            errors = 0 if command else errors + 1
            shown = self._do(thought.strip(), command, context) if command else COMPLAINT
            if not command:
                context.record(thought.strip(), "", "", shown)
            messages.append({"role": "assistant", "content": answer or " "})
            messages.append({"role": "user", "content": shown})
        return Outcome.FORMAT_ERRORS

    def _do(self, thought: str, command: str, context: AgentContext) -> str:
        context.activity = command
        result = context.sandbox.exec(command, context.command_timeout_s())
        shown = f"exit code {result.exit_code}\n{result.text[-self._settings.shown_chars :]}"
        context.record(thought, command, result.text, shown)
        return shown
