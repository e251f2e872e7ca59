"""A person who answers questions at a terminal, without one."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from rich.console import Console

from orchestrator.setup.questions import Asker


@dataclass
class Person:
    """Answers in their order."""

    answers: list[str] = field(default_factory=list)
    gives_up: bool = False
    """Whether who has no answer left presses Ctrl-D; else no more questions are expected."""
    asked: list[str] = field(default_factory=list)
    screen: io.StringIO = field(default_factory=io.StringIO)

    def read_line(self, prompt: str) -> str:
        self.asked.append(prompt)
        if not self.answers and self.gives_up:
            raise EOFError
        assert self.answers, f"this was not to be asked: {prompt}"
        return self.answers.pop(0)

    @property
    def saw(self) -> str:
        return self.screen.getvalue()

    def asker(self, *, at_terminal: bool = True, takes_defaults: bool = False) -> Asker:
        return Asker(
            Console(file=self.screen, width=300),
            at_terminal=at_terminal,
            takes_defaults=takes_defaults,
            read_line=self.read_line,
        )
