"""Servers that agents have in their sandbox, and may kill there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.backends import Sandbox
from orchestrator.errors import ImageUnavailable, SandboxBroken, SandboxUnavailable

LOOK_S = 60.0
MAX_TRIES = 5
Started = TypeVar("Started")


def start_again(sandbox: Sandbox, start: Callable[[], Started]) -> Started:
    """Start a server where an agent may just have killed one.

    Raises:
        SandboxUnavailable: the sandbox is gone.
        SandboxBroken: it runs commands, and no server stays up in it.
    """
    tries = 1
    while True:
        try:
            return start()
        except ImageUnavailable as error:
            raise SandboxBroken(
                "no Python runs in the sandbox any more, though the image has one: the agent has "
                "removed it, or bash"
            ) from error
        except SandboxUnavailable as error:
            if tries == MAX_TRIES:
                raise SandboxBroken(str(error)) from error
            sandbox.exec("true", sandbox.patience(LOOK_S))  # is it there?
            time.sleep(tries)  # what kills servers may be about to end
            tries += 1
