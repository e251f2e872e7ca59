"""Finding and removing what dead runs left: sandboxes through their backends, Ray's processes here.

A run is dead when nobody holds the lock on its driver.lock. What a driver on another host started
is left alone, and so is everything that is not ours.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console

from orchestrator.backends import Backend, Host, find_backend
from orchestrator.backends.base import Cleaned
from orchestrator.backends.host import Place
from orchestrator.config import RunConfig
from orchestrator.config.sections import AUTO
from orchestrator.display.terminal import print_line
from orchestrator.driver.leftovers import (
    is_live,
    ray_processes_of,
    ray_session_of,
    temporary_folders_of,
)
from orchestrator.driver.plan import Plan
from orchestrator.errors import ConfigError, JournalError, PrerequisiteError, one_line
from orchestrator.file_locks import Locked, hold_lock
from orchestrator.journal import Journal, read_journal
from orchestrator.paths import RunPaths, temporary_folder
from orchestrator.plugins import BACKENDS
from orchestrator.run.lock import RunLock
from orchestrator.types import Instance, RolloutKey


@contextmanager
def hold_driver_lock(paths: RunPaths) -> Iterator[None]:
    """Be the run's one driver. The lock ends with the process, however it ends.

    Raises:
        PrerequisiteError: another driver is at work on this run, or its lock is no file.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(paths.driver_lock))
        except Locked as error:
            raise PrerequisiteError(
                f"run {paths.run_id} is live (driver {error.holder or 'unknown'}).",
                "Wait for it, or stop it with Ctrl-C where it runs.",
            ) from None
        except OSError as error:
            raise PrerequisiteError(f"{paths.driver_lock}: {error.strerror}.") from None
        yield


def kinds_used(runs_dir: Path) -> tuple[str, ...]:
    """The kinds of sandboxes that runs in this folder used, by their lock.json."""
    kinds = (_kind_of(RunPaths(run_dir)) for run_dir in sorted(runs_dir.glob("*/")))
    return tuple(dict.fromkeys(kind for kind in kinds if kind))


def known_kinds(runs_dir: Path) -> tuple[str, ...]:
    """Our kinds, and other people's that runs in this folder used."""
    return tuple(dict.fromkeys((*BACKENDS, *kinds_used(runs_dir))))


def evict_left_images(
    config: RunConfig,
    instances: Sequence[Instance],
    journal: Journal,
    plan: Plan,
    host: Host,
    free_gb: float,
    together_with: Iterable[Path] = (),
) -> None:
    """Remove the images that earlier sessions of a run pulled onto this host and left here, though
    nothing that is left to do needs them: they may fill the disk that this session is to have.

    With `auto` only where they have filled it: else the session's image store lets them go when
    room is short. `free_gb` is free on the images' disk. `together_with` are the folders of runs
    that go on in the same session: what they need stays too.
    """
    keep, is_full = config.cluster.images.keep, _is_full(config, host, free_gb)
    if keep is True or (keep == AUTO and not is_full):
        return
    planned = {key.instance_id for key in (*plan.rollouts, *plan.grades)}
    for run_dir in together_with:
        if RunPaths(run_dir).journal.exists():  # else it has not begun
            planned |= read_journal(RunPaths(run_dir).journal).unfinished
    needed = {instance.image for instance in instances if instance.instance_id in planned}
    for image in journal.pulled():
        if image.node or image.name in needed:
            continue
        if find_backend(host.kind).evict_image(image.name):
            journal.remove_pulled(image)


def _is_full(config: RunConfig, host: Host, free_gb: float) -> bool:
    """Disks that are not seen from here are not called full."""
    is_seen = host.place is Place.HERE and config.cluster.ray_address is None
    return is_seen and free_gb < config.cluster.min_free_disk_gb


def clean_dead_runs(runs_dir: Path, kinds: Iterable[str]) -> Cleaned:
    """Remove what dead runs left on this host in sandboxes of these kinds, and Ray in `runs_dir`.

    A backend that can't look, as its engine is away, is one of the result's problems.
    """

    def clean(backend: Backend) -> Cleaned:
        cleaned = Cleaned()
        for run_dir in backend.find_run_dirs(runs_dir):
            if not is_live(run_dir):
                cleaned += backend.clean(run_dir)
        return cleaned

    cleaned = _for_each_backend(kinds, clean)
    for run_dir in sorted(runs_dir.glob("*/")):
        if not is_live(run_dir):
            cleaned += _clean_host(RunPaths(run_dir))
    return cleaned


def clean_before_session(
    paths: RunPaths, kind: str, others: Iterable[str], console: Console
) -> None:
    """Remove what this run's earlier sessions left, and other dead runs on this host.

    Earlier sessions of this run may have used sandboxes of the kinds in `others` instead. Where
    those can't be looked for, that is no problem.
    """
    runs_dir = paths.root.parent
    kinds = dict.fromkeys((kind, *kinds_used(runs_dir)))
    cleaned = clean_run(paths, kinds) + clean_dead_runs(runs_dir, kinds)
    for problem in dict.fromkeys(cleaned.problems):
        print_line(console, f"left by dead runs? {problem}", "yellow")
    cleaned += clean_run(paths, [other for other in others if other not in kinds])
    if cleaned:
        print_line(console, f"removed what dead runs had left: {cleaned}")


def clean_run(paths: RunPaths, kinds: Iterable[str]) -> Cleaned:
    """Remove what one run left; the caller holds its lock, or knows that it is dead."""
    return _for_each_backend(kinds, lambda backend: backend.clean(paths.root)) + _clean_host(paths)


def clean_attempt(paths: RunPaths, kind: str, key: RolloutKey) -> None:
    """Remove what one rollout or grade left whose worker died: it holds memory, or a disk."""
    _for_each_backend((kind,), lambda backend: backend.clean(paths.root, key))


def _for_each_backend(kinds: Iterable[str], clean: Callable[[Backend], Cleaned]) -> Cleaned:
    cleaned = Cleaned()
    for kind in kinds:
        try:
            backend = find_backend(kind)
            cleaned += Cleaned(dict.fromkeys(backend.leftovers, 0))
            cleaned += clean(backend)
        except (PrerequisiteError, ConfigError) as error:
            cleaned += Cleaned(problems=(str(error),))
        except Exception as error:  # noqa: BLE001 - the boundary to somebody else's backend
            problem = f"sandboxes of kind {kind} can't be cleaned up: {one_line(error)}"
            cleaned += Cleaned(problems=(problem,))
    return cleaned


def _kind_of(paths: RunPaths) -> str:
    """Empty where the run has no lock, or none that can be read."""
    try:
        return RunLock.read(paths).sandbox.kind
    except JournalError:
        return ""


def _clean_host(paths: RunPaths) -> Cleaned:
    """What a run leaves on this host beside its sandboxes."""
    left = len(temporary_folders_of(paths))
    shutil.rmtree(temporary_folder(str(paths.root.resolve())), ignore_errors=True)
    return _clean_ray(paths) + (Cleaned({"temporary folders": left}) if left else Cleaned())


def _clean_ray(paths: RunPaths) -> Cleaned:
    """Ray's processes of a dead driver. They end with it, unless what ends them was killed too."""
    try:
        session = ray_session_of(paths)
    except OSError as error:
        return Cleaned(problems=(f"{paths.ray_session}: {error.strerror}",))
    if session is None:
        return Cleaned()
    killed = 0
    for process in ray_processes_of(session):
        with contextlib.suppress(psutil.Error):
            process.kill()
            killed += 1
    paths.ray_session.unlink(missing_ok=True)
    return Cleaned({"processes": killed})
