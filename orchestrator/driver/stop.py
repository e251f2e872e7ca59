"""How a person stops a run: once to let what runs finish, twice to stop it now."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from orchestrator.stop_signals import heard


@dataclass
class StopSignal:
    """How often a person asked: 1 admits nothing more, 2 harvests and ends what runs."""

    count: int = 0


@contextmanager
def stop_on_signals(stop: StopSignal) -> Iterator[None]:
    """Count SIGINT as one, SIGTERM and SIGHUP (the host or the terminal goes; not under nohup) as
    two.

    Raises:
        KeyboardInterrupt: a SIGINT after two; nothing is waited for any more.
    """

    def count(number: int, _frame: FrameType | None) -> None:
        stop.count += 1 if number == signal.SIGINT else 2
        if stop.count > 2 and number == signal.SIGINT:
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, count) for number in heard()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
