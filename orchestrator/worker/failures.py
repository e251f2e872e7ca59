"""How a bug of ours is recorded: under its own name, with its traceback, against no host."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from orchestrator.types import Failure, FailureKind

TRACEBACK = "traceback.txt"


def internal_error(error: BaseException) -> tuple[Failure, Mapping[str, bytes]]:
    """The failure that an exception in our own code is, and the file that shows where it arose."""
    last = traceback.format_exception_only(error)[-1].strip()
    return Failure(FailureKind.INTERNAL_ERROR, last[:500]), {TRACEBACK: traceback_of(error)}


def traceback_of(error: BaseException) -> bytes:
    return "".join(traceback.format_exception(error)).encode("utf-8", "replace")
