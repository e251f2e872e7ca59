"""One side of scripts/bench_agents.py: its commands, run one after another and watched.

Where a side's time goes is read the same way for all: from when the scripted model was asked, and
from the log that the official harness writes of every grade.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import docker.errors
import psutil

from orchestrator.backends.docker.engine import LABEL, connect
from orchestrator.dataset import Dataset
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.scripted.personas import ScriptedReply
from orchestrator.scripted.protocols import SUBMIT

SAMPLE_S = 0.25
SAMPLE_SHARE = 0.03
"""Of a core that watching may take: a side of many processes is looked at less often, not slowed
more."""
PRINT_EVERY_S = 15.0
MARKER = "SWE_ORCHESTRATOR_BENCH"
"""The environment variable by which processes are known that nobody has seen yet."""
PARTS = {
    "start": "to the first model call",
    "rollouts": "to the last answer",
    "gap": "until the first grade begins",
    "grading": "what of it comes after the rollouts",
    "end": "after the last grade",
}


@dataclass(frozen=True)
class Setup:
    """What all sides have in common."""

    dataset: Dataset
    slots: int
    delay_s: float
    folder: Path


@dataclass(frozen=True)
class Measured:
    """One side."""

    name: str
    instances: int
    resolved: int
    calls: int
    """Model calls for instances."""
    wall_s: float
    parts_s: Mapping[str, float]
    """By PARTS; together the wall time."""
    peak_mb: float
    processes: int
    """At that moment."""
    left_over: int
    """Containers that were still there when the last command had ended."""

    @property
    def is_whole(self) -> bool:
        return self.resolved == self.instances


class SideFailed(Exception):
    """A command of a side ended with an error."""


class Side:
    """Use it as a context manager: nothing of the side is left running after it."""

    def __init__(self, setup: Setup, name: str, submit: str = SUBMIT) -> None:
        """`submit` is what its model says to submit."""
        self.name = name
        self.id = f"bench-{os.getpid()}-{name.replace(' ', '-')}"
        self.folder = setup.folder / self.id
        self._setup = setup
        self._log = self.folder / "commands.log"
        self._endpoint = _Endpoint(setup, submit)
        self._seen: dict[int, psutil.Process] = {}
        self._peak = (0.0, 0)
        self._began = self._printed = 0.0

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self._endpoint.__enter__()
        if running := len(connect().containers.list()):
            say(f"{running} containers of others are running: what they do distorts the times")
        say(f"{self.name} starts")
        self._began = self._printed = time.time()
        return self

    def __exit__(self, *_: object) -> None:
        for _ in range(4):  # something may have been about to start
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    was_seen = self._seen.get(process.pid) == process
                    # Ray's write their titles over their environment
                    if was_seen or process.environ().get(MARKER) == self.id:
                        process.kill()
            for container in self._containers():
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)
            time.sleep(0.5)
        self._endpoint.__exit__(None, None, None)

    @property
    def base_url(self) -> str:
        return self._endpoint.base_url

    @property
    def label(self) -> str:
        """By which containers are known as the side's."""
        return f"{LABEL}.bench={self.id}"

    def run(self, *command: object, **environment: str) -> None:
        """Wait for the command, in the side's folder.

        Raises:
            SideFailed: it ended with an error.
        """
        ours = {MARKER: self.id, **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")}
        with open(self._log, "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                env={**os.environ, **ours, **environment},
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
            tail = self._log.read_text(errors="replace")[-3000:]
            raise SideFailed(f"{tail}\n{self.name}: {command[0]} ended with {code}")

    def measured(self) -> Measured:
        """To be asked when the last command has ended."""
        ended, endpoint = time.time(), self._endpoint
        verdicts = self._verdicts()
        spans = [_span_of(path.with_name("run_instance.log")) for path in verdicts]
        rolled_out = endpoint.last or ended
        first_grade = max(rolled_out, min((begin for begin, _ in spans), default=ended))
        last_grade = max(first_grade, max((end for _, end in spans), default=ended))
        marks = (self._began, endpoint.first or ended, rolled_out, first_grade, last_grade, ended)
        reports = [json.loads(path.read_text()) for path in verdicts]
        measured = Measured(
            name=self.name,
            instances=len(self._setup.dataset.instances),
            resolved=sum(row["resolved"] for report in reports for row in report.values()),
            calls=endpoint.calls,
            wall_s=ended - self._began,
            parts_s=dict(zip(PARTS, (b - a for a, b in pairwise(marks)), strict=True)),
            peak_mb=self._peak[0],
            processes=self._peak[1],
            left_over=len(self._containers()),
        )
        say(f"{self.name}: {measured.wall_s:.1f} s, {measured.resolved} resolved")
        return measured

    def _verdicts(self) -> list[Path]:
        """The harness's own files; every side has them, somewhere under a folder named logs."""
        return list(self.folder.rglob("logs/run_evaluation/**/report.json"))

    def _containers(self) -> list[Any]:
        """Ours and the agents' by label, the harness's by name."""
        wanted = ({"label": f"{LABEL}.run={self.id}"}, {"label": self.label}, {"name": self.id})
        listed = connect().containers.list
        return [c for f in wanted for c in listed(all=True, filters=f, ignore_removed=True)]

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
        self._peak = max(self._peak, (total, len(now)))
        if time.time() > self._printed + PRINT_EVERY_S:
            self._printed = time.time()
            say(
                f"{self.name}: {self._printed - self._began:.0f} s, {self._endpoint.calls} model "
                f"calls, {len(self._verdicts())} verdicts, {len(now)} processes, {total:.0f} MB"
            )


class _Endpoint(ScriptedEndpoint):
    """Notes when it was asked about instances; a question beforehand is none of those."""

    def __init__(self, setup: Setup, submit: str) -> None:
        dataset = setup.dataset
        super().__init__(dataset.instances, dataset.answers, delay_s=setup.delay_s)
        self._submit = submit
        self._times = threading.Lock()
        self.calls = 0
        self.first = self.last = 0.0

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> ScriptedReply:
        reply = super().reply(messages)
        if self._find_instance(messages):
            with self._times:
                now = time.time()
                self.calls += 1
                self.first = self.first or now
                self.last = max(self.last, now + self.delay_s)
        return replace(reply, command=self._submit) if reply.command == SUBMIT else reply


def _span_of(log: Path) -> tuple[float, float]:
    """When the harness began with an instance, and when its container was gone."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            found.append(datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp())
    return min(found), max(found)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
