"""How an exception that nobody foresaw is recorded: the host's trouble, or a bug of ours."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping

from orchestrator.errors import InfraError, InternalError, WorkerLost, one_line
from orchestrator.text import writable

TRACEBACK = "traceback.txt"
HOST_TROUBLE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    }
)
"""No room, no memory, no more files or processes."""


def unforeseen(error: Exception) -> tuple[InfraError, Mapping[str, bytes]]:
    """An exception of our own code as a failure, and the file that shows where it arose.

    Where the host has run out of something it is WorkerLost, which counts against that host. All
    else is InternalError: a bug of ours.
    """
    ran_out = isinstance(error, OSError) and error.errno in HOST_TROUBLE
    kind = WorkerLost if ran_out or isinstance(error, MemoryError) else InternalError
    return kind(summary_of(error)), {TRACEBACK: traceback_of(error)}


def summary_of(error: BaseException) -> str:
    """Its type and words in one line: `KeyError: 'name'`. Its notes are in the traceback alone."""
    name, words = type(error).__name__, one_line(error)
    return writable(f"{name}: {words}" if words else name)


def traceback_of(error: BaseException) -> bytes:
    return "".join(traceback.format_exception(error)).encode("utf-8", "replace")
