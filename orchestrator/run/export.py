"""A run given to others: read from its folder, and written in the form that they read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from orchestrator.config import load_run_config
from orchestrator.config.keys import nearest
from orchestrator.driver.files import read_patches
from orchestrator.driver.leftovers import is_live
from orchestrator.errors import ConfigError
from orchestrator.evidence.read import EvidenceReader
from orchestrator.exports.base import Exported, RunToExport
from orchestrator.exports.kinds import SUBMISSION, export_kinds
from orchestrator.exports.submission import Submitter
from orchestrator.journal import read_journal
from orchestrator.paths import RunPaths
from orchestrator.run.folder import open_dataset, subject_of
from orchestrator.run.lock import RunLock


def read_run(paths: RunPaths) -> RunToExport:
    """A run as its folder stands, live ones too.

    Raises:
        ConfigError: it is no run, or its dataset can't be used.
        JournalError: its record or a patch can't be read.
        PrerequisiteError: an older run's dataset is on the hub, which can't be reached.
    """
    config, lock = load_run_config(paths.config), RunLock.read(paths)
    state = read_journal(paths.journal)
    dataset, _ = open_dataset(paths, config, lock)
    reader = EvidenceReader(paths, config, dataset, state)
    subject = subject_of(reader, lock)
    return RunToExport(reader, subject.report, read_patches(paths, state), subject.findings)


def export_run(
    paths: RunPaths, kind: str, to: Path | None = None, submitter: Submitter | None = None
) -> Exported:
    """Write an export of the run into the folder `to`, else into one in the run's own folder, which
    replaces the last one of its kind.

    Raises:
        ConfigError: there is no such kind, or the folder is not empty or can't be written.
        PrerequisiteError: the library that writes it is not installed.
        Besides: as `read_run`.
    """
    kinds = export_kinds(submitter or Submitter())
    if kind not in kinds:
        raise ConfigError(f"unknown export {kind!r}{nearest(kind, list(kinds))}")
    folder = to if to is not None else paths.export(kind)
    with _as_config_errors(folder):
        if to is not None:
            _require_empty(to)
        kinds[kind].require()
        run = read_run(paths)
        if to is None:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        done = kinds[kind].write(run, folder)
    return replace(done, remarks=(*_remarks(paths, kind, submitter), *done.remarks))


def _remarks(paths: RunPaths, kind: str, submitter: Submitter | None) -> Iterator[str]:
    """What a person should know of an export of any kind."""
    if is_live(paths.root):
        yield f"{paths.run_id} is still running: this is what there is so far"
    if kind != SUBMISSION and submitter not in (None, Submitter()):
        yield f"--name, --authors and the like are of a submission: {kind} has no place for them"


def _require_empty(folder: Path) -> None:
    if folder.is_dir() and not os.listdir(folder):
        return
    if os.path.lexists(folder):
        what = "is not empty" if folder.is_dir() else "is no folder"
        raise ConfigError(f"--to {folder} {what}: name a new folder, so that nothing gets mixed")


@contextmanager
def _as_config_errors(folder: Path) -> Iterator[None]:
    """What keeps a folder from being written, in one line."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder}: {error.strerror or error}; --to names another folder"
        ) from error
