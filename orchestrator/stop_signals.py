"""The signals by which a person or a host stops programs, and who does not obey them.

A terminal that closes and `timeout` send them to a whole process group, a service manager and a
shut-down to every process. The driver alone decides then: what it needs to harvest sits them out,
and ends when the driver does.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
    """Processes that this thread starts within it block these signals, and so do their children."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heard() -> tuple[signal.Signals, ...]:
    """Those that this process obeys: SIGHUP only where `nohup` has not had it ignored. A shell has
    SIGINT ignored for what it starts in the background; who sends it there means it."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(s for s in STOP_SIGNALS if not (s is signal.SIGHUP and is_ignored))


def interrupt_on_all() -> None:
    """Let each of them raise KeyboardInterrupt, as Ctrl-C does, so that what this process has
    started ends with it. To be called in the main thread."""
    for number in heard():
        if number is not signal.SIGINT:
            signal.signal(number, signal.default_int_handler)


def sit_out() -> None:
    """Let this process ignore these signals, and those that it starts obey them as usual.

    To be called in the main thread. By a handler, as children inherit what is ignored or blocked.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _do_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass
