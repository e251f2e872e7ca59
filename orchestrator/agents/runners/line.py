"""A runner's end of the line to its worker: JSON lines over its standard input and output.

It runs in the agent's environment, where our package is not installed. `forkserver.py` offers it
there as `orchestrator.agents.runners.line`. The worker's end is `process.py`.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

MAX_SENT_CHARS = 90_000
"""Of an observation, to the worker, who keeps a little more."""

_line: TextIO = sys.stdout


def send(kind: str, **fields: Any) -> None:
    """Send the worker a message."""
    _line.write(json.dumps({"kind": kind, **fields}) + "\n")
    _line.flush()


def shorten(text: str, limit: int) -> str:
    """Cut in the middle: test results stand at the end. `agents.steps` is not to be had here."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"


class Worker:
    """Receives what the worker sends. When the worker ends, so does this process."""

    def __init__(self) -> None:
        self._received: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for line in sys.stdin:
                self._received.put(json.loads(line))
        finally:  # a killed worker leaves half a line, or a connection that is reset
            os._exit(0)  # nobody waits for this rollout any more

    def receive(self) -> dict[str, Any]:
        """The next message; waits for it."""
        return self._received.get()


def serve_rollouts(serve_rollout: Callable[[Worker, dict[str, Any]], None], log_name: str) -> None:
    """One rollout after another, for as long as the worker lives.

    Each begins with a message that names an `output_dir`. What the agent prints meanwhile goes to
    the file `log_name` in it.
    """
    global _line
    # what the agent prints must not come between our messages
    _line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    while True:
        request = worker.receive()
        with open(Path(request["output_dir"]) / log_name, "ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        serve_rollout(worker, request)
