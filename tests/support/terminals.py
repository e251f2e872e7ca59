"""A person at a terminal: a command on a pseudo-terminal, who reads what it says and types."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

CTRL_C, CTRL_D = "\x03", "\x04"
LIMIT_S = 60.0
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Ctrl-C goes to those whose terminal it is."""


class AtTerminal:
    """`python -m orchestrator` with these words. Use it as a context manager."""

    def __init__(self, *words: str, cwd: Path, env: Mapping[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._terminal = ours
        self.said = ""
        """Everything that was on the screen, what was typed too."""
        self._answered = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, "-m", "orchestrator", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**env, "TERM": "dumb", "COLUMNS": "200"},
            start_new_session=True,
        )
        os.close(theirs)

    def answer(self, prompt: str, text: str) -> None:
        """Wait until the screen shows the prompt, below all that was answered, and type a line."""
        self._read_until(lambda: prompt in self.said[self._answered :])
        assert prompt in self.said[self._answered :], self.said
        self._answered = len(self.said)
        os.write(self._terminal, f"{text}\n".encode())

    def press(self, key: str, prompt: str, until: str) -> None:
        """At the prompt, press a key of those above until the screen shows that it was heard: what
        comes between a prompt and the reading of its answer may be lost."""
        self._read_until(lambda: prompt in self.said[self._answered :])
        for _ in range(int(LIMIT_S)):
            os.write(self._terminal, key.encode())
            self._read_until(lambda by=time.monotonic() + 1: until in self.said or _is_past(by))
            if until in self.said:
                return
        raise AssertionError(self.said)

    def end(self) -> int:
        """The exit code."""
        self._read_until(lambda: False)
        return self._process.wait(LIMIT_S)

    def _read_until(self, is_enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not is_enough():
            assert time.monotonic() < deadline, self.said
            if not select.select([self._terminal], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(self._terminal, 65536)
            except OSError:  # how Linux says that the other end is closed
                return
            if not part:
                return
            self.said += part.decode("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        os.close(self._terminal)


def _is_past(moment: float) -> bool:
    return time.monotonic() > moment
