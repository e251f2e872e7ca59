"""What runs have on this host, and what dead ones left here: looked for, and left alone.

A run is dead when nobody holds the lock on its driver.lock.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.backends import find_backend
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.file_locks import is_held
from orchestrator.paths import RunPaths, temporary_folder

_RAY_SESSION = re.compile(r"/.*/session_[\w.-]+")
"""The name of the folder of a local Ray."""


@dataclass(frozen=True)
class Leftovers:
    """What lies on this host of runs."""

    live: tuple[Path, ...]
    """Folders of runs that somebody drives."""
    dead: Mapping[Path, tuple[str, ...]]
    """By the folder of a run that nobody drives: the kinds of thing that it left."""


def find_leftovers(runs_dir: Path, kinds: Iterable[str]) -> Leftovers:
    """Look at the runs in a folder, and wherever sandboxes of these kinds name one.

    A kind whose engine is away, or that is not there, has nothing that could be found.
    """
    left: dict[Path, list[str]] = defaultdict(list)
    for kind in kinds:
        with contextlib.suppress(PrerequisiteError, ConfigError):
            backend = find_backend(kind)
            for run_dir in backend.find_run_dirs(runs_dir):
                left[run_dir] += backend.leftovers
    run_dirs = [run_dir.resolve() for run_dir in sorted(runs_dir.glob("*/"))]
    for run_dir in run_dirs:
        left[run_dir] += _left_on_host(RunPaths(run_dir))
    live = tuple(run_dir for run_dir in left if is_live(run_dir))
    dead = {
        run_dir: tuple(dict.fromkeys(things))
        for run_dir, things in left.items()
        if things and run_dir not in live
    }
    return Leftovers(live, dead)


def is_live(run_dir: Path) -> bool:
    """Whether a driver on this host holds the run."""
    return is_held(RunPaths(run_dir).driver_lock)


def temporary_folders_of(paths: RunPaths) -> tuple[Path, ...]:
    """Of a run, on this host: what its rollouts and grades work with."""
    return tuple(temporary_folder(str(paths.root.resolve())).glob("*"))


def ray_session_of(paths: RunPaths) -> str | None:
    """The folder of the run's local Ray, as it was written down; None where none was.

    Raises OSError.
    """
    try:
        return paths.ray_session.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def ray_processes_of(session: str) -> Iterator[psutil.Process]:
    """Processes of the local Ray that has this folder."""
    is_one = _RAY_SESSION.fullmatch(session)  # what else stands there could be in any command line
    for process in psutil.process_iter() if is_one else ():
        with contextlib.suppress(psutil.Error):
            if any(session in word for word in process.cmdline()):
                yield process


def _left_on_host(paths: RunPaths) -> Iterator[str]:
    """What a run has on this host beside its sandboxes."""
    if temporary_folders_of(paths):
        yield "temporary folders"
    with contextlib.suppress(OSError):
        session = ray_session_of(paths)
        if session is not None and any(ray_processes_of(session)):
            yield "processes of Ray"
