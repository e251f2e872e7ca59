"""Commands as shells can be given them: of any length, and told where they can't be run at all."""

from __future__ import annotations

from orchestrator.backends.base import ExecResult
from orchestrator.text import is_writable

MAX_ARGUMENT_BYTES = 100_000
"""A little under what Linux gives a program as one argument (128 KiB); longer ones come by file."""
CAN_NOT_EXECUTE = 126
"""A shell's own exit code for what is there and can't be run."""


def refusal(command: str) -> ExecResult | None:
    """What a shell would say of a command that holds NUL or half a surrogate pair; else None.

    It is the command's own error, for who gave it to read, and says nothing against the sandbox.
    """
    if is_writable(command):
        return None
    what = "NUL" if "\0" in command else "half a surrogate pair"
    said = f"bash: the command can't be run: it holds {what}, which no shell can be given\n"
    return ExecResult(said.encode(), CAN_NOT_EXECUTE)


def is_long(command: str) -> bool:
    """Whether it can't be an argument of a program, and has to come by a file."""
    return len(command.encode()) > MAX_ARGUMENT_BYTES
