"""Runs as people start them: the command line, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_S = 400
ODD_NAME = 'it\'s "my" work #1 $HOME 50% `a` ;&|(ü) 工作 \\'
"""Of a folder, as a person may choose it."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """What `--json` printed."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found

    def succeeded(self) -> str:
        """What it printed; it ended well and complained of nothing."""
        assert (self.exit_code, self.stderr) == (0, "")
        return self.stdout

    def assert_one_line(self, exit_code: int, says: str) -> None:
        """It ended with this exit code, and with one line that tells a person what to mend."""
        assert "Traceback" not in self.stderr
        assert self.exit_code == exit_code, self.stderr
        assert says in self.stderr
        assert self.stderr.startswith("error: ")
        assert self.stderr.count("\n") == 1


@dataclass(frozen=True)
class CommandLine:
    """The orchestrator with a runs folder of its own."""

    runs_dir: Path

    def __call__(self, *words: str) -> Ended:
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
        return Ended(process.returncode, stdout, stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "orchestrator", *words, "--runs-dir", str(self.runs_dir)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def launch(self, sandbox: str, run_id: str, *words: str) -> Ended:
        return self(*self.launch_words(sandbox, run_id, *words), "--json")

    def launch_words(self, sandbox: str, run_id: str, *words: str) -> list[str]:
        base = os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE")
        images = ["--set", f"cluster.images.base={base}"] if base else []
        run = ["launch", "demo", "--sandbox", sandbox, "--run-id", run_id, "--workers", "4"]
        return [*run, *images, *words]


def personas(**by_instance: str) -> list[str]:
    """Flags that give instances their personas; `__` stays, `_` before the number becomes `-`."""
    flags: list[str] = []
    for name, persona in by_instance.items():
        head, _, number = name.rpartition("_")
        flags += ["--set", f"model.personas.{head}-{number}={persona}"]
    return flags


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.2)
