"""How a bug of ours is recorded: under its own name, with its traceback, against no host."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from orchestrator.errors import InternalError

TRACEBACK = "traceback.txt"


def internal_error(error: BaseException) -> tuple[InternalError, Mapping[str, bytes]]:
    """The failure that an exception in our own code is, and the file that shows where it arose."""
    return InternalError(summary_of(error)), {TRACEBACK: traceback_of(error)}


def summary_of(error: BaseException) -> str:
    """The last line of the traceback: `KeyError: 'name'`."""
    return traceback.format_exception_only(error)[-1].strip()[:500]


def traceback_of(error: BaseException) -> bytes:
    return "".join(traceback.format_exception(error)).encode("utf-8", "replace")
