"""Questions at a terminal, each of which a flag answers too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console

from orchestrator.display.terminal import print_line
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.text import printable
from orchestrator.text_files import surrogate_problem

T = TypeVar("T")
YES_OR_NO = {"y": True, "yes": True, "n": False, "no": False}


@dataclass(frozen=True)
class FlagQuestion(Generic[T]):
    flag: str
    """Of the command line, that answers it."""
    text: str
    read: Callable[[str], T]
    """An answer's meaning. Raises ConfigError or PrerequisiteError where it has none."""
    default: str = ""
    """As a person would write it; empty where there is none."""
    choices: tuple[str, ...] = ()
    """Lines that stand before the question."""


class Asker:
    """Asks a person; or takes flags, or what was found by looking, where there is nobody."""

    def __init__(
        self,
        console: Console,
        *,
        at_terminal: bool,
        takes_defaults: bool = False,
        read_line: Callable[[str], str] = input,
    ) -> None:
        """`takes_defaults`: no question is asked that has one (`--yes`)."""
        self.console = console
        self.at_terminal = at_terminal
        self.takes_defaults = takes_defaults
        self._read_line = read_line

    @property
    def asks(self) -> bool:
        """Whether a person is asked at all."""
        return self.at_terminal and not self.takes_defaults

    def ask(self, question: FlagQuestion[T], given: str | None = None) -> T:
        """The answer: of the flag, the default, or the person, who is asked until it is one.

        Raises:
            ConfigError, PrerequisiteError: the flag's answer has no meaning, or is missing.
            KeyboardInterrupt: the person has had enough (Ctrl-C, Ctrl-D).
        """
        if given is not None:
            return self._read_flag(question, given)
        if self.takes_defaults and question.default:
            return self._read_flag(question, question.default)
        if not self.at_terminal:
            raise ConfigError(_missing(question))
        for line in question.choices:
            print_line(self.console, line)
        hint = f" [{question.default}]" if question.default else ""
        while True:
            said = self._line(f"{question.text}{hint}: ") or question.default
            try:
                _require_text(said)
                return question.read(said)
            except (ConfigError, PrerequisiteError) as error:
                print_line(self.console, str(error), "yellow")

    def _line(self, prompt: str) -> str:
        try:
            return self._read_line(prompt).strip()
        except EOFError:
            raise KeyboardInterrupt from None

    def _read_flag(self, question: FlagQuestion[T], text: str) -> T:
        try:
            return question.read(text)
        except ConfigError as error:
            raise ConfigError(f"{question.flag}: {error}") from None


def _missing(question: FlagQuestion[T]) -> str:
    yes = f"; --yes takes {question.default}" if question.default else ""
    return f"{question.flag} is missing, and there is no terminal to ask at{yes}"


def _require_text(said: str) -> None:
    if problem := surrogate_problem(said):
        raise ConfigError(f"that {problem}: it is no text in UTF-8")


def numbered(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Lines of a list from which a person may choose by number."""
    return tuple(f"  {number}  {printable(choice)}" for number, choice in enumerate(choices, 1))


def chosen(text: str, choices: tuple[str, ...]) -> str:
    """What a number stands for; any other text as it is. Raises ConfigError."""
    answer = text.strip()
    if not answer.isdecimal():
        return answer
    if not 1 <= int(answer[:9]) <= len(choices):
        raise ConfigError(f"there is no number {answer} above")
    return choices[int(answer) - 1]


def yes_or_no(flag: str, text: str, default: bool) -> FlagQuestion[bool]:
    return FlagQuestion(flag, f"{text} (y/n)", read_yes_or_no, "y" if default else "n")


def read_yes_or_no(text: str) -> bool:
    answer = YES_OR_NO.get(text.strip().lower())
    if answer is None:
        raise ConfigError(f"{text!r}: y or n")
    return answer


def read_number(least: float) -> Callable[[str], float]:
    """Reads a number over `least`."""

    def read(text: str) -> float:
        try:
            number = float(text.strip())
        except ValueError:
            raise ConfigError(f"{text!r} is no number") from None
        if not least < number < 10**6:
            raise ConfigError(f"{text!r} must be over {least:g}")
        return number

    return read
