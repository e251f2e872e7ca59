"""How long rollouts took in earlier runs, as their journals say."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from orchestrator.paths import RunPaths
from orchestrator.types import Instance

MAX_RUNS = 20
"""So many are read, the newest first."""
HEAD_BYTES = 200_000
"""Of a run.yaml, in which the names are looked for."""
BUSY_S = 0.2
"""A journal that somebody else holds for longer is left out."""
_SECTIONS = ("model", "agent")
_QUERY = """
SELECT rollout.instance_id, instance.repo, ended_at - started_at - held_s AS seconds, phases_s
FROM rollout JOIN instance USING (instance_id) WHERE outcome IS NOT NULL LIMIT 10000
"""


@dataclass(frozen=True)
class _Past:
    """A rollout that came to an outcome."""

    instance_id: str
    repo: str
    seconds: float
    """Without outages of its model's server, and without the pull of its image."""
    is_alike: bool
    """By the same model and agent."""


def past_seconds(
    runs_dir: Path, model: str, agent: str, instances: Sequence[Instance]
) -> dict[str, float]:
    """Mean seconds of a rollout by instance id: of the same model and agent on the instance itself,
    else on its repository, else of any model on its repository; nothing where there is nothing.

    Reads the newest runs below the folder. Never raises: what is no run, or can't be read, is left
    out.
    """
    wanted = {instance.repo for instance in instances}
    of_instance: dict[str, list[float]] = defaultdict(list)
    of_repo: dict[str, list[float]] = defaultdict(list)
    of_any: dict[str, list[float]] = defaultdict(list)
    for past in _read(runs_dir, model, agent):
        if past.repo not in wanted:
            continue
        of_any[past.repo].append(past.seconds)
        if past.is_alike:
            of_instance[past.instance_id].append(past.seconds)
            of_repo[past.repo].append(past.seconds)
    found = {
        i.instance_id: of_instance.get(i.instance_id) or of_repo.get(i.repo) or of_any.get(i.repo)
        for i in instances
    }
    return {instance_id: fmean(seconds) for instance_id, seconds in found.items() if seconds}


def _read(runs_dir: Path, model: str, agent: str) -> Iterator[_Past]:
    for folder in _newest(runs_dir):
        paths = RunPaths(folder)
        names = _names(paths.config)
        if names is None:
            continue
        try:
            # one that is at rest is read without the files that SQLite puts beside it
            at_rest = not Path(f"{paths.journal}-wal").exists()
            how = "immutable=1" if at_rest else "mode=ro"
            uri = f"{paths.journal.resolve().as_uri()}?{how}"
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as connection:
                rows = connection.execute(_QUERY).fetchall()
        except (sqlite3.Error, OSError, ValueError):
            continue
        for instance_id, repo, seconds, phases in rows:
            took_s = seconds - _image_s(phases)
            if took_s > 0:
                yield _Past(instance_id, repo, took_s, names == (model, agent))


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
    """Of a run's model and agent; None where it has none. All of a run.yaml takes ten times as
    long to read, and each section of ours begins with its name."""
    try:
        with open(run_yaml, encoding="utf-8", errors="replace") as file:
            text = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return None
    found = [re.search(rf"^{key}:\n  name: *(.+)$", text, re.MULTILINE) for key in _SECTIONS]
    names = [match.group(1).strip("'\" ") for match in found if match]
    return (names[0], names[1]) if len(names) == len(_SECTIONS) else None


def _image_s(phases: object) -> float:
    """The phase in which the image was brought, of a rollout's phases as the journal has them."""
    try:
        found = json.loads(phases if isinstance(phases, str) else "")
        return float(found.get("image", 0.0))
    except (ValueError, TypeError, AttributeError):
        return 0.0
