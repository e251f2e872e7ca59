"""Commands whose processes a bench watches: their memory, and that none of them stays behind.

Memory is the sum of the proportional set sizes (PSS: of a page that n processes share, each has one
n-th; elsewhere than on Linux the resident sizes) of all processes that are there at a moment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

SAMPLE_S = 0.25
SAMPLE_SHARE = 0.03
"""Of a core that watching may take: a side of many processes is looked at less often, not slowed
more."""
PRINT_EVERY_S = 15.0
MARKER = "SWE_ORCHESTRATOR_BENCH"
"""The environment variable by which processes are known that nobody has seen yet."""


class CommandFailed(Exception):
    """A watched command ended with an error."""


class WatchedProcesses:
    """All descendants of the commands that it runs, one command after another."""

    def __init__(self, name: str, folder: Path, progress: Callable[[], str] = str) -> None:
        """`name` is told, and marks the processes; in `folder` commands run and write their log;
        `progress` is told now and then."""
        self._name = name
        self._folder = folder
        self._mark = folder.name
        self._log = folder / "commands.log"
        self._progress = progress
        self._seen: dict[int, psutil.Process] = {}
        self._began = self._printed = time.time()
        self.peak_mb = 0.0
        self.peak_processes = 0
        """How many there were when memory was at its peak."""

    def run(self, *command: object, **environment: str) -> None:
        """Wait for the command, in the folder.

        Raises:
            CommandFailed: it ended with an error.
        """
        here = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        with open(self._log, "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self._folder,
                env={**os.environ, **here, MARKER: self._mark, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._seen[process.pid] = psutil.Process(process.pid)
        pause_s = SAMPLE_S
        while True:
            try:
                code = process.wait(pause_s)
                break
            except subprocess.TimeoutExpired:
                before = time.thread_time()
                self._sample()
                pause_s = max(SAMPLE_S, (time.thread_time() - before) / SAMPLE_SHARE)
        if code != 0:
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise CommandFailed(f"{tail}\n{self._name}: {command[0]} ended with {code}")

    def kill(self) -> None:
        """End whatever is left of them."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                was_seen = self._seen.get(process.pid) == process
                # Ray's write their titles over their environment
                if was_seen or process.environ().get(MARKER) == self._mark:
                    process.kill()

    def _sample(self) -> None:
        """Add up all descendants; one that was seen counts until it ends, whoever its parent is."""
        now: dict[int, psutil.Process] = {}
        total = 0.0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                parent = process.ppid()
                if self._seen.get(process.pid) == process or parent in now or parent in self._seen:
                    now[process.pid] = process
                    info = process.memory_full_info()
                    total += getattr(info, "pss", info.rss) / 1e6
        self._seen = now
        if total > self.peak_mb:
            self.peak_mb, self.peak_processes = total, len(now)
        if time.time() > self._printed + PRINT_EVERY_S:
            self._printed = time.time()
            words = (
                f"{self._printed - self._began:.0f} s",
                self._progress(),
                f"{len(now)} processes",
            )
            say(f"{self._name}: {', '.join(filter(None, words))}, {total:.0f} MB")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
