"""How a model's server comes up: a line that is redrawn on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from orchestrator.display.terminal import print_line
from orchestrator.report.words import duration
from orchestrator.serving.bring_up import Watcher

SAID_EVERY_S = 30.0


class LiveProgress:
    """On a terminal. Nothing is redrawn before the first word from the host: ssh may ask there."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console, self._status = console, status
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        print_line(self._console, text)

    def show(self, text: str) -> None:
        took = duration(time.monotonic() - self._started)
        line = Text(f"{took}  {text}", no_wrap=True, overflow="ellipsis")
        line.truncate(max(self._console.width - 4, 10), overflow="ellipsis")
        self._status.update(line)
        self._status.start()


class PlainProgress:
    """Where there is no terminal."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds and never goes backwards."""
        self._console, self._clock = console, clock
        self._said = ""
        self._said_at = clock()

    def say(self, text: str) -> None:
        print_line(self._console, text)

    def show(self, text: str) -> None:
        if text == self._said or self._clock() - self._said_at < SAID_EVERY_S:
            return
        self._said, self._said_at = text, self._clock()
        self.say(f"  {text}")


@contextmanager
def progress_on(console: Console) -> Iterator[Watcher]:
    """What suits the console, while a server comes up."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    status = console.status("")
    try:
        yield LiveProgress(console, status)
    finally:
        status.stop()
