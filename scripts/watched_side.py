"""One side of scripts/bench_agents.py: its commands, run one after another and watched.

Where a side's time goes is read the same way for all: from when the scripted model was asked, and
from the log that the official harness writes of every grade.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Self

import docker.errors
from watched_processes import WatchedProcesses, say

from orchestrator.backends.docker.engine import LABEL, connect
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.scripted.actions import SUBMIT
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.scripted.personas import ScriptedReply, apply_command
from orchestrator.scripted.protocols import AnswerForm, answers_before
from orchestrator.scripted.turns import LOOKS

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
    benchmark: str
    """What `launch` is given for it."""
    config: RunConfig
    """Ours, whose limits hold for the others too."""
    folder: Path
    slots: int
    graders: int
    """Theirs."""
    our_graders: int | str
    calls: int
    """Answers that a rollout takes."""
    delay_s: float


@dataclass(frozen=True)
class Measured:
    """One side."""

    name: str
    verdicts: Mapping[str, bool | None]
    """By instance whether it is resolved; None: the harness has not said."""
    calls: Mapping[str, int]
    """Model calls by instance."""
    shortest_answer_s: float
    """Between two questions of one rollout, at least; infinite where none asked twice."""
    wall_s: float
    parts_s: Mapping[str, float]
    """By PARTS; together the wall time."""
    grades: Sequence[tuple[float, float]]
    """When each began and ended, as the harness's logs say."""
    peak_mb: float
    processes: int
    """At that moment."""
    left_over: int
    """Containers that were still there when the last command had ended."""
    load: tuple[float, float]
    """Of the host in the minute before and in the last one, as `uptime` tells it: sides that
    others have disturbed unequally can't be compared."""

    @property
    def resolved(self) -> int:
        return sum(verdict is True for verdict in self.verdicts.values())

    @property
    def grades_at_once(self) -> int:
        """The most of them."""
        return most_at_once(self.grades)


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """How many of some (begin, end) overlap at a moment, at most; one that ends when another begins
    does not."""
    marks = [(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans]
    return max(accumulate(step for _, step in sorted(marks)), default=0)


def script_of(patch: str, calls: int, submit: str = SUBMIT) -> list[ScriptedReply]:
    """What the model says in a rollout of so many answers, two at least: it looks around, mends the
    bug and submits."""
    looks = [
        ScriptedReply(LOOKS[number % len(LOOKS)], f"I look at what is there ({number + 1}).")
        for number in range(calls - 2)
    ]
    return [
        *looks,
        ScriptedReply(apply_command(patch), "I mend the bug."),
        ScriptedReply(submit, "The issue is solved."),
    ]


class Side:
    """Use it as a context manager: nothing of the side is left running after it."""

    def __init__(self, setup: Setup, name: str, submit: str = SUBMIT) -> None:
        """`submit` is what its model says to submit."""
        self.name = name
        self.id = f"bench-{os.getpid()}-{name.replace(' ', '-')}"
        self.folder = setup.folder / self.id
        self._setup = setup
        self._endpoint = _Endpoint(setup, submit)
        self._processes = WatchedProcesses(name, self.folder, self._progress)
        self._began = self._load = 0.0

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self._endpoint.__enter__()
        if running := len(connect().containers.list()):
            say(f"{running} containers of others are running: what they do distorts the times")
        say(f"{self.name} starts")
        self._began, self._load = time.time(), os.getloadavg()[0]
        return self

    def __exit__(self, *_: object) -> None:
        for _ in range(4):  # something may have been about to start
            self._processes.kill()
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
        """Wait for the command, in the side's folder. Raises CommandFailed."""
        self._processes.run(*command, **environment)

    def measured(self) -> Measured:
        """To be asked when the last command has ended."""
        ended, asked = time.time(), self._endpoint.asked
        reports = self._reports()
        grades = [_span_of(path.with_name("run_instance.log")) for path in reports]
        times = [at for several in asked.values() for at in several]
        rolled_out = max(times) + self._setup.delay_s if times else ended
        first_grade = max(rolled_out, min((begin for begin, _ in grades), default=ended))
        last_grade = max(first_grade, max((end for _, end in grades), default=ended))
        marks = (self._began, min(times, default=ended), rolled_out, first_grade, last_grade, ended)
        said: dict[str, Any] = {}
        for path in reports:
            said |= json.loads(path.read_text(encoding="utf-8"))
        ids = [instance.instance_id for instance in self._setup.dataset.instances]
        measured = Measured(
            name=self.name,
            verdicts={key: said[key]["resolved"] if key in said else None for key in ids},
            calls={key: len(asked.get(key, ())) for key in ids},
            shortest_answer_s=min(
                (b - a for several in asked.values() for a, b in pairwise(several)),
                default=float("inf"),
            ),
            wall_s=ended - self._began,
            parts_s=dict(zip(PARTS, (b - a for a, b in pairwise(marks)), strict=True)),
            grades=grades,
            peak_mb=self._processes.peak_mb,
            processes=self._processes.peak_processes,
            left_over=len(self._containers()),
            load=(self._load, os.getloadavg()[0]),
        )
        say(f"{self.name}: {measured.wall_s:.1f} s, {measured.resolved} resolved")
        return measured

    def _progress(self) -> str:
        calls = sum(map(len, list(self._endpoint.asked.values())))
        return f"{calls} model calls, {len(self._reports())} verdicts"

    def _reports(self) -> list[Path]:
        """The harness's own files; every side has them, somewhere under a folder named logs."""
        return list(self.folder.rglob("logs/run_evaluation/**/report.json"))

    def _containers(self) -> list[Any]:
        """Ours and the agents' by label, the harness's by name."""
        wanted = ({"label": f"{LABEL}.run={self.id}"}, {"label": self.label}, {"name": self.id})
        listed = connect().containers.list
        return [c for f in wanted for c in listed(all=True, filters=f, ignore_removed=True)]


class _Endpoint(ScriptedEndpoint):
    """Goes by `script_of`, and notes when it was asked about which instance; a question beforehand
    is about none."""

    def __init__(self, setup: Setup, submit: str) -> None:
        dataset = setup.dataset
        super().__init__(dataset.instances, dataset.answers, delay_s=setup.delay_s)
        self._scripts = {
            instance_id: script_of(patch, setup.calls, submit)
            for instance_id, patch in self._patches.items()
        }
        self._times = threading.Lock()
        self.asked: defaultdict[str, list[float]] = defaultdict(list)
        """By instance, when."""

    def reply(self, messages: Sequence[Mapping[str, Any]], form: AnswerForm) -> ScriptedReply:
        instance_id = self._find_instance(messages)
        if instance_id not in self._scripts:
            return super().reply(messages, form)
        with self._times:
            self.asked[instance_id].append(time.time())
        script = self._scripts[instance_id]
        return script[min(answers_before(messages, form), len(script) - 1)]


def _span_of(log: Path) -> tuple[float, float]:
    """When the harness began with an instance, and when its container was gone."""
    found = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            found.append(datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp())
    return min(found), max(found)
