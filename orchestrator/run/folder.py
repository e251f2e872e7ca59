"""The run's folder: laid out at its start, and given its reports at each session's end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from orchestrator.config import RunConfig, dump_run_config
from orchestrator.config.changes import Change
from orchestrator.dataset import Dataset, is_local, load_dataset
from orchestrator.dataset.kept import kept_rows, read_kept_rows
from orchestrator.driver.files import read_patches, save_rollout
from orchestrator.errors import ConfigError, JournalError, PrerequisiteError
from orchestrator.evidence.facts import Finding
from orchestrator.evidence.read import EvidenceReader
from orchestrator.evidence.taxonomy import findings_of
from orchestrator.journal import Journal, RunState
from orchestrator.page.charts.drawing import start_drawing
from orchestrator.page.sections.subject import Subject
from orchestrator.page.write import write_page
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.build import Report, build_report
from orchestrator.report.calibration import GoldStanding
from orchestrator.report.markdown import render_markdown
from orchestrator.report.published import published_for
from orchestrator.report.words import counted
from orchestrator.run.calibrations import standings_of
from orchestrator.run.lock import RunLock
from orchestrator.text_files import read_text
from orchestrator.types import Outcome, Prediction, RolloutKey, RolloutRecord, RolloutResult


def create_run(paths: RunPaths, config: RunConfig, dataset: Dataset, lock: RunLock) -> None:
    """Lay out the run's folder.

    The journal is written last: a folder without one is no run, and is written over.
    """
    write_atomic(paths.config, dump_run_config(config))
    lock.write(paths)
    write_atomic(paths.rows, kept_rows(dataset))
    Journal.create(paths.journal, config.run_id, dataset.instances).close()


def record_changes(
    paths: RunPaths, config: RunConfig, lock: RunLock, changes: Sequence[Change]
) -> RunLock:
    """Give a run the changed configuration; returns its lock, which keeps what was before."""
    if not changes:
        return lock
    lock = lock.with_changes(changes)
    lock.write(paths)  # before the change, so that none is ever without a record
    write_atomic(paths.config, dump_run_config(config))
    return lock


def open_dataset(paths: RunPaths, config: RunConfig, lock: RunLock) -> tuple[Dataset, str]:
    """The rows that a run began with, and a remark where its dataset is another one by now.

    They lie in the run's folder, so that neither the hub nor an unchanged dataset is needed. A run
    of an older version has none there: its dataset is read again, and must be the same.

    Raises:
        ConfigError: they can't be used, or an older run's dataset has changed.
        JournalError: somebody has changed the run's own rows.
        PrerequisiteError: an older run's dataset is on the hub, which can't be reached.
    """
    if not paths.rows.exists():
        try:
            dataset = load_dataset(config.benchmark, config.selection)
        except ConfigError as error:
            raise ConfigError(
                f"the run has no {paths.rows.name} any more, and its benchmark can't be read "
                f"instead ({error}): put {paths.rows} back"
            ) from error
        lock.require_same_dataset(dataset, paths)
        return dataset, ""
    return _kept_dataset(paths, config, lock), _what_has_changed(config, lock)


def _kept_dataset(paths: RunPaths, config: RunConfig, lock: RunLock) -> Dataset:
    """Of the rows in the run's folder. Raises ConfigError, or JournalError: they are changed."""
    rows = read_text(paths.rows, str(paths.rows))
    lock.require_same_rows(rows, paths)
    return read_kept_rows(rows, str(paths.rows), config.benchmark, lock.dataset.sha256)


def _what_has_changed(config: RunConfig, lock: RunLock) -> str:
    """In the dataset of a run that goes on without it. The hub is not asked."""
    if not lock.dataset.sha256 or not is_local(config.benchmark):
        return ""
    change = "has changed since"
    try:
        if load_dataset(config.benchmark, config.selection).sha256 == lock.dataset.sha256:
            return ""
    except (ConfigError, PrerequisiteError) as error:
        change = f"can't be read as it was any more ({error})"
    return f"the benchmark {change}; the run goes on with the rows that it began with"


def as_rollouts(run_id: str, predictions: Sequence[Prediction]) -> list[RolloutResult]:
    """Predictions made elsewhere as rollouts of a run, each a first attempt that has ended now."""
    now = time.time()
    return [
        RolloutResult(
            RolloutRecord(
                RolloutKey(run_id, prediction.instance_id, 1),
                outcome=Outcome.SUBMITTED if prediction.model_patch else Outcome.GAVE_UP,
                started_at=now,
                ended_at=now,
            ),
            patch=prediction.model_patch,
        )
        for prediction in predictions
    ]


def record_rollouts(paths: RunPaths, journal: Journal, results: Sequence[RolloutResult]) -> None:
    """Files first, then the journal's row."""
    for result in results:
        save_rollout(paths, result)
        journal.append_rollout(result.record)


def evidence_of(
    paths: RunPaths, config: RunConfig, state: RunState, lock: RunLock
) -> EvidenceReader:
    """Reads the files of a run that nobody has open: with the rows that lie there.

    Where they are gone, changed, or of a version that kept none, it goes without gold patches: a
    report asks no hub.
    """
    try:
        dataset = _kept_dataset(paths, config, lock)
    except (ConfigError, JournalError):
        dataset = Dataset((), {}, "")
    return EvidenceReader(paths, config, dataset, state)


def report_of(
    config: RunConfig,
    state: RunState,
    lock: RunLock,
    findings: Mapping[str, Finding] | None = None,
    standings: Mapping[str, GoldStanding] | None = None,
) -> Report:
    """The report of a run as its journal and its lock stand, what its files say (None: nobody
    looked into them), and what gold patches have shown of its host."""
    return build_report(
        config,
        state,
        lock.versions,
        tuple(map(str, lock.changes)),
        lock.sandbox.emulation,
        lock.sandbox.images_platform,
        lock.images_at_start,
        benchmark_instances=lock.dataset.of_benchmark or None,
        drifts=[drift.drift for drift in lock.drifts],
        findings=findings,
        standings=standings,
    )


def _notes_on_files(reader: EvidenceReader, findings: Mapping[str, Finding]) -> list[str]:
    """What is not there to be looked at, a line each."""
    notes = []
    if not reader.dataset.instances:
        notes.append(
            f"{reader.paths.rows.name} of the run is missing or was changed: no gold patch is "
            "shown, and causes are found without them"
        )
    damaged = [instance_id for instance_id, finding in findings.items() if finding.problems]
    if damaged:
        notes.append(
            f"files of {counted(len(damaged), 'instance')} are missing or can't be read, such as "
            f"{damaged[0]}: an instance that is opened says which. Verdicts stand in the journal; "
            "causes rest on what is left"
        )
    return notes


def subject_of(evidence: EvidenceReader, lock: RunLock, published: Path | None = None) -> Subject:
    """What the reports of a run are about, with all that its files say: a second or two.

    Raises:
        ConfigError: the file of `published` results can't be used. One that nobody named keeps no
            report back.
    """
    config, findings = evidence.config, findings_of(evidence)
    notes = _notes_on_files(evidence, findings)
    try:
        beside = published_for(config.benchmark, published)
    except ConfigError as error:
        if published is not None:
            raise
        beside = ()
        notes.append(str(error))
    standings = standings_of(evidence.paths, config, evidence.state, lock)
    report = report_of(config, evidence.state, lock, findings, standings)
    return Subject(config, report, evidence.state, findings, beside, lock.serving, notes)


def write_our_reports(evidence: EvidenceReader, lock: RunLock) -> Report:
    """Write report.json, report.md and report.html of a run as its journal and its files stand."""
    paths, subject = evidence.paths, subject_of(evidence, lock)
    report = subject.report
    write_atomic(paths.report_json, json.dumps(report.as_dict(), indent=1, ensure_ascii=False))
    write_atomic(paths.report_md, render_markdown(report, evidence.state))
    write_page(paths, subject, evidence)
    return report


@cache
def begin_what_reports_need() -> None:
    """Start in a thread what takes two seconds and 100 MB, and nothing but reports needs."""

    def start() -> None:
        with contextlib.suppress(Exception):  # the reports meet it again, and tell it
            import_module("scipy.special")
            start_drawing()

    threading.Thread(target=start, daemon=True).start()


def write_reports(
    config: RunConfig, paths: RunPaths, dataset: Dataset, state: RunState, lock: RunLock
) -> Report:
    """Write the reports of a run as its journal stands: ours, and the official harness's."""
    from orchestrator.report.official import write_official_report

    report = write_our_reports(EvidenceReader(paths, config, dataset, state), lock)
    name = config.model_name_or_path
    predictions = {
        instance_id: Prediction(instance_id, name, patch)
        for instance_id, patch in read_patches(paths, state).items()
    }
    write_official_report(config, paths, dataset.instances, predictions)
    return report
