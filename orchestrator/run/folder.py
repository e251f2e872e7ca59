"""The run's folder: laid out at its start, and given its reports at each session's end."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from orchestrator.config import RunConfig, dump_run_config
from orchestrator.dataset import Dataset
from orchestrator.driver.files import read_patches, save_rollout
from orchestrator.journal import Journal, RunState
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.build import Report, build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.run.lock import RunLock
from orchestrator.types import Outcome, Prediction, RolloutKey, RolloutRecord, RolloutResult


def create_run(paths: RunPaths, config: RunConfig, dataset: Dataset, lock: RunLock) -> None:
    """Lay out the run's folder.

    The journal is written last: a folder without one is no run, and is written over.
    """
    write_atomic(paths.config, dump_run_config(config))
    lock.write(paths)
    Journal.create(paths.journal, config.run_id, dataset.instances).close()


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


def write_our_reports(config: RunConfig, paths: RunPaths, state: RunState, lock: RunLock) -> Report:
    """Write report.json and report.md of a run as its journal stands."""
    report = build_report(config, state, lock.versions)
    write_atomic(paths.report_json, json.dumps(report.as_dict(), indent=1, ensure_ascii=False))
    write_atomic(paths.report_md, render_markdown(report, state))
    return report


def write_reports(
    config: RunConfig, paths: RunPaths, dataset: Dataset, state: RunState, lock: RunLock
) -> Report:
    """Write the reports of a run as its journal stands: ours, and the official harness's."""
    from orchestrator.report.official import write_official_report

    report = write_our_reports(config, paths, state, lock)
    name = config.model_name_or_path
    predictions = {
        instance_id: Prediction(instance_id, name, patch)
        for instance_id, patch in read_patches(paths, state).items()
    }
    write_official_report(config, paths, dataset.instances, predictions)
    return report
