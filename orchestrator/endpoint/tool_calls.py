"""Is a call of a function one that can be used, and if not, in which way is it broken? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class CallProblem(StrEnum):
    """In which way a call is broken. The words stand in journals and reports."""

    UNKNOWN_TOOL = "unknown tool"
    MISSING = "missing parameters"
    WRONG = "wrong parameters"
    MALFORMED = "malformed"
    """Its arguments are no JSON object."""
    NO_CALL = "no call"
    """Functions were offered, and the answer calls none."""
    CUT_OFF = "cut off"
    """The answer ended at the limit of tokens before a call was whole."""


def check_call(
    name: str, arguments: str, tools: Sequence[Mapping[str, Any]]
) -> tuple[CallProblem | None, str]:
    """What is wrong with a call, and that in words; None and no words where nothing is.

    `arguments` are JSON; `tools` are those that the request offered, as a request has them.
    """
    return None, ""
