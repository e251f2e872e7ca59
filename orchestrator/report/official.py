"""The official harness's own final report, and the record from which it can be asked for again."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config.schema import RunConfig
from orchestrator.dataset import task_repo_of
from orchestrator.dataset.harness import harness_module
from orchestrator.errors import JournalError, one_line
from orchestrator.paths import RunPaths, harness_model_name
from orchestrator.types import Instance, Prediction


def write_official_report(
    config: RunConfig,
    paths: RunPaths,
    instances: Sequence[Instance],
    predictions: Mapping[str, Prediction],
) -> Path | None:
    """Write `<model>.<run_id>.json` in the run's folder; None where nothing was predicted yet.

    Raises:
        JournalError: the harness can't read its own files in the run's folder.
    """
    if not predictions:
        return None
    evaluation = harness_module("run_evaluation")
    rows: list[dict[str, Any]] = [
        {"instance_id": i.instance_id, "image": i.image} for i in instances
    ]
    benchmark = config.benchmark
    task_repo = task_repo_of(benchmark)
    name = harness_model_name(config.model_name_or_path, config.run_id)
    named = {
        key: replace(prediction, model_name_or_path=name).as_dict()
        for key, prediction in predictions.items()
    }
    try:
        # the harness's paths are relative to where it runs
        with contextlib.chdir(paths.root), contextlib.redirect_stdout(io.StringIO()):
            evaluation.write_run_metadata(
                config.run_id,
                benchmark.source,
                benchmark.split,
                str(task_repo) if task_repo else None,
            )
            report = evaluation.make_run_report(
                named, rows, config.run_id, client=None, report_dir="."
            )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # it takes for granted what lies there, which a person may have changed
        raise JournalError(
            f"the official report can't be made of {paths.harness_logs(config.run_id)} "
            f"({one_line(f'{type(error).__name__}: {error}')}): restore what was changed there. "
            f"Our own is {paths.report_md}"
        ) from error
    return paths.root / str(report)
