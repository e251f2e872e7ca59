"""How long rollouts and grades took in earlier runs, as their journals say."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from orchestrator.paths import RunPaths
from orchestrator.types import Instance

MAX_RUNS = 20
"""So many are read, the newest first."""
HEAD_BYTES = 200_000
"""Of a run.yaml, in which the names are looked for."""
BUSY_S = 0.2
"""A journal that somebody else holds for longer is left out."""
_SECTIONS = ("model", "agent", "predictions")
_ROLLOUTS = """
SELECT rollout.instance_id, instance.repo, ended_at - started_at - held_s AS seconds, phases_s
FROM rollout JOIN instance USING (instance_id) WHERE outcome IS NOT NULL LIMIT 10000
"""
_GRADES = """
SELECT grade.instance_id, instance.repo, ended_at - started_at AS seconds, phases_s
FROM grade JOIN instance USING (instance_id) WHERE resolved IS NOT NULL LIMIT 10000
"""


@dataclass(frozen=True)
class _PastRow:
    """A rollout that came to an outcome, or a grade that came to a verdict."""

    instance_id: str
    repo: str
    seconds: float
    """Without outages of the model's server, and without the pull of its image."""
    names: tuple[str, str]
    """Of its run's model and agent; no model's is empty."""


@dataclass(frozen=True)
class PastSeconds:
    """Mean seconds of what came to its end before."""

    of_instances: Mapping[str, float] = field(default_factory=dict)
    """By instance id: of the instance itself."""
    of_repos: Mapping[str, float] = field(default_factory=dict)
    """By repository."""

    @classmethod
    def of(cls, rows: Iterable[_PastRow], others: Iterable[_PastRow] = ()) -> PastSeconds:
        """`others` say something of repositories of which the rows say nothing."""
        of_instances, of_repos = defaultdict(list), defaultdict(list)
        for row in rows:
            of_instances[row.instance_id].append(row.seconds)
            of_repos[row.repo].append(row.seconds)
        of_others = defaultdict(list)
        for row in others:
            of_others[row.repo].append(row.seconds)
        return cls(
            {name: fmean(seconds) for name, seconds in of_instances.items()},
            {repo: fmean(seconds) for repo, seconds in (of_others | of_repos).items()},
        )

    def seconds(self, instance: Instance) -> float | None:
        """Of the instance itself, else of its repository; None where there is nothing."""
        own = self.of_instances.get(instance.instance_id)
        return self.of_repos.get(instance.repo) if own is None else own


@dataclass(frozen=True)
class PastRuns:
    """What the newest runs of a folder say of durations."""

    _rollouts: Sequence[_PastRow] = ()
    _grades: Sequence[_PastRow] = ()

    @classmethod
    def read(cls, runs_dir: Path) -> PastRuns:
        """Never raises: what is no run, or can't be read, is left out."""
        rollouts: list[_PastRow] = []
        grades: list[_PastRow] = []
        for names, paths in _named_runs(runs_dir):
            try:
                # one that is at rest is read without the files that SQLite puts beside it
                at_rest = not Path(f"{paths.journal}-wal").exists()
                how = "immutable=1" if at_rest else "mode=ro"
                uri = f"{paths.journal.resolve().as_uri()}?{how}"
                with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as connection:
                    rolled = connection.execute(_ROLLOUTS).fetchall()
                    graded = connection.execute(_GRADES).fetchall()
            except (sqlite3.Error, OSError, ValueError):
                continue
            grades += _rows(graded, names)
            if names[0]:  # who asks no model says nothing of who does
                rollouts += _rows(rolled, names)
        return cls(rollouts, grades)

    def rollouts(self, model: str, agent: str) -> PastSeconds:
        """Of the same model and agent; of repositories of which they say nothing, any model's. Of
        who asks no model nothing is known: it takes seconds, where models take minutes."""
        if not model:
            return PastSeconds()
        alike = [row for row in self._rollouts if row.names == (model, agent)]
        return PastSeconds.of(alike, self._rollouts)

    @property
    def grades(self) -> PastSeconds:
        """Of patches of any model."""
        return PastSeconds.of(self._grades)


def _named_runs(runs_dir: Path) -> Iterator[tuple[tuple[str, str], RunPaths]]:
    for folder in _newest(runs_dir):
        paths = RunPaths(folder)
        names = _names(paths.config)
        if names is not None:
            yield names, paths


def _rows(found: Iterable[tuple[Any, ...]], names: tuple[str, str]) -> Iterator[_PastRow]:
    for instance_id, repo, seconds, phases in found:
        took_s = seconds - _image_s(phases)
        if took_s > 0:
            yield _PastRow(instance_id, repo, took_s, names)


def _newest(runs_dir: Path) -> list[Path]:
    found = []
    try:
        with os.scandir(runs_dir) as entries:
            for entry in entries:
                journal = RunPaths(Path(entry.path)).journal
                try:
                    found.append((journal.stat().st_mtime, Path(entry.path)))
                except OSError:  # no run
                    continue
    except OSError:  # there are none yet
        return []
    return [folder for _, folder in sorted(found, reverse=True)[:MAX_RUNS]]


def _names(run_yaml: Path) -> tuple[str, str] | None:
    """Of a run's model, empty for none, and of its agent or predictions; None where it is no run's.
    All of a run.yaml takes ten times as long to read, and each section of ours begins with its
    name."""
    try:
        with open(run_yaml, encoding="utf-8", errors="replace") as file:
            text = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return None
    found = {
        key: match.group(1).strip("'\" ")
        for key in _SECTIONS
        if (match := re.search(rf"^{key}:\n  name: *(.+)$", text, re.MULTILINE))
    }
    author = found.get("agent") or found.get("predictions")
    return (found.get("model", ""), author) if author else None


def _image_s(phases: object) -> float:
    """The phase in which the image was brought, of a rollout's phases as the journal has them."""
    try:
        found = json.loads(phases if isinstance(phases, str) else "")
        return float(found.get("image", 0.0))
    except (ValueError, TypeError, AttributeError):
        return 0.0
