"""How gold patches were graded on this host: taken from the runs of `calibrate`, kept in the
user's cache, and found again for the report of any run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.dataset.kept import kept_rows, row_digests
from orchestrator.errors import OrchestratorError, PrerequisiteError, one_line
from orchestrator.evidence.tests import instance_report, read_results
from orchestrator.file_locks import wait_for_lock
from orchestrator.journal import RunState
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.calibration import (
    GoldStanding,
    GoldTrial,
    GradingTerms,
    standing_of,
)
from orchestrator.report.images import images_used
from orchestrator.report.names import FAILURE_WORDS, REASON_WORDS
from orchestrator.report.words import counted
from orchestrator.run.lock import RunLock, SandboxLock
from orchestrator.text_files import read_text
from orchestrator.types import FailureKind, GradeReason, GradeRecord
from orchestrator.user_paths import calibration_file, calibrations
from orchestrator.verdict import REPORT

SHOWN = 3
"""Tests that are named."""

OF_THE_INSTANCE = frozenset(
    {FailureKind.HARNESS_UNAVAILABLE, FailureKind.TESTS_TOO_SLOW, FailureKind.AGENT_CRASHED}
)
"""Failures of a gold patch that stay after all retries, and say that the instance can't be graded
here: tests that are killed or too slow, a patch that does not apply. The others say nothing of the
instance."""


class GoldTrials(BaseModel):
    """The content of a calibration's file, in the order in which the trials ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    trials: tuple[GoldTrial, ...] = ()


def read_trials(path: Path) -> tuple[GoldTrial, ...]:
    """Nothing where there is no such file. One that can't be read counts as none: it is made
    anew."""
    try:
        return GoldTrials.model_validate_json(path.read_bytes()).trials
    except (OSError, ValidationError):
        return ()


def _terms_of_run(config: RunConfig, lock: RunLock) -> GradingTerms:
    return terms_of(config, lock.versions.get("swebench", ""), bool(lock.sandbox.emulation))


def _images_of_run(state: RunState, lock: RunLock) -> dict[str, str]:
    """By instance: those that its sandboxes used, else those that were there at the start."""
    return {**lock.images_at_start, **images_used(state)}


def terms_of(config: RunConfig, harness: str, emulated: bool) -> GradingTerms:
    grading = config.cluster.grading
    return GradingTerms(
        harness=harness,
        limit_s=grading.limit_s(emulated),
        memory_gb=grading.memory_gb,
        network=grading.network,
    )


def digests_of(dataset: Dataset) -> dict[str, str]:
    """Of each instance's row, as `standings_of` finds it in a run's folder."""
    return row_digests(kept_rows(dataset), "the benchmark's rows")


def file_of(instance_id: str, row_sha256: str, sandbox: SandboxLock) -> Path:
    return calibration_file(
        instance_id, row_sha256, sandbox.platform, sandbox.architecture, sandbox.kind
    )


def keep_trials(paths: RunPaths, config: RunConfig, state: RunState, lock: RunLock) -> None:
    """Keep what a run of gold has shown so far; what is kept already is not kept twice.

    Raises:
        ConfigError, PrerequisiteError: its rows, or what is kept, can't be read or written.
    """
    digests = _digests(paths)
    try:
        with wait_for_lock(calibrations() / "lock"):
            for instance_id, trials in _trials_of_run(paths, config, state, lock).items():
                if instance_id not in digests:
                    continue  # somebody has changed the run's rows
                path = file_of(instance_id, digests[instance_id], lock.sandbox)
                kept = read_trials(path)
                known = {(trial.run_id, trial.at) for trial in kept}
                new = [trial for trial in trials if (trial.run_id, trial.at) not in known]
                if new:
                    both = sorted((*kept, *new), key=lambda trial: trial.at)
                    write_atomic(path, GoldTrials(trials=tuple(both)).model_dump_json(indent=1))
    except OSError as error:
        raise PrerequisiteError(
            f"{calibrations()} can't be written ({one_line(error)}).",
            "Make room or make it writable, or name another folder in SWE_ORCHESTRATOR_CACHE.",
        ) from None


def standings_of(
    paths: RunPaths, config: RunConfig, state: RunState, lock: RunLock
) -> dict[str, GoldStanding]:
    """What is kept of a run's instances that holds for its images, its terms and its host.

    Empty where nothing was calibrated, or the run's own rows can't be read any more.
    """
    if not calibrations().is_dir():
        return {}
    try:
        digests = _digests(paths)
    except OrchestratorError:
        return {}
    terms, images = _terms_of_run(config, lock), _images_of_run(state, lock)
    found = {}
    for instance_id in state.instances:
        trials = [
            trial
            for trial in read_trials(
                file_of(instance_id, digests.get(instance_id, ""), lock.sandbox)
            )
            if trial.holds_for(images.get(instance_id, ""), terms)
        ]
        if (standing := standing_of(instance_id, trials)) is not None:
            found[instance_id] = standing
    return found


def _digests(paths: RunPaths) -> dict[str, str]:
    if not paths.rows.exists():
        return {}  # a run of an older version
    return row_digests(read_text(paths.rows, str(paths.rows)), str(paths.rows))


def _trials_of_run(
    paths: RunPaths, config: RunConfig, state: RunState, lock: RunLock
) -> Mapping[str, list[GoldTrial]]:
    """Verdicts, and failures of the instance that are left after the retries."""
    terms, images = _terms_of_run(config, lock), _images_of_run(state, lock)
    trials: dict[str, list[GoldTrial]] = defaultdict(list)
    for grade in state.verdicts.values():
        trials[grade.instance_id].append(
            GoldTrial(
                resolved=bool(grade.resolved),
                why="" if grade.resolved else _why_unresolved(paths, config, grade),
                image=grade.image or images.get(grade.instance_id, ""),
                terms=terms,
                seconds=round(grade.phases_s.get("harness", 0.0), 1),
                run_id=state.run_id,
                at=grade.ended_at,
            )
        )
    last_end = {row.instance_id: row.ended_at for row in state.rollouts}
    last_end |= {row.instance_id: row.ended_at for row in state.grades}
    for instance_id, failure in state.failures.items():
        was_retried = state.failure_counts[instance_id] > config.rollout.retries[failure.kind]
        if failure.kind in OF_THE_INSTANCE and was_retried:
            trials[instance_id].append(
                GoldTrial(
                    resolved=False,
                    why=f"{FAILURE_WORDS[failure.kind]}: {one_line(failure.detail, 300)}",
                    image=images.get(instance_id, ""),
                    terms=terms,
                    run_id=state.run_id,
                    at=last_end[instance_id],
                )
            )
    return trials


def _why_unresolved(paths: RunPaths, config: RunConfig, grade: GradeRecord) -> str:
    """In one line: which tests failed, or what else the verdict rests on."""
    assert grade.reason is not None, "a verdict has a reason"
    if grade.reason is not GradeReason.TESTS:
        return REASON_WORDS[grade.reason]
    report = paths.harness_log(config.model_name_or_path, grade.key) / REPORT
    try:
        tests = read_results(instance_report(report.read_bytes(), grade.instance_id), "")
    except (OSError, ValueError):
        return "its tests fail"
    failed = [test.name for test in tests if not test.passed]
    more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    names = one_line(", ".join(failed[:SHOWN]), 300)
    return f"{len(failed)} of {counted(len(tests), 'test')} failed: {names}{more}"
