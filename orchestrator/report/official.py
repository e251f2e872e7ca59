"""The official harness's own final report, and the record from which it can be asked for again."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.schema import RunConfig
from orchestrator.dataset import task_repo_of
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, Prediction


def write_official_report(
    config: RunConfig,
    paths: RunPaths,
    instances: Sequence[Instance],
    predictions: Mapping[str, Prediction],
) -> Path | None:
    """Write `<model>.<run_id>.json` in the run's folder; None where nothing was predicted yet."""
    if not predictions:
        return None
    from swebench.harness.reporting import make_run_report
    from swebench.harness.run_evaluation import write_run_metadata

    rows: list[dict[str, Any]] = [
        {"instance_id": i.instance_id, "image": i.image} for i in instances
    ]
    benchmark = config.benchmark
    task_repo = task_repo_of(benchmark)
    # the harness's paths are relative to where it runs
    with contextlib.chdir(paths.root), contextlib.redirect_stdout(io.StringIO()):
        write_run_metadata(
            config.run_id, benchmark.source, benchmark.split, str(task_repo) if task_repo else None
        )
        written = make_run_report(
            {key: prediction.as_dict() for key, prediction in predictions.items()},
            rows,
            config.run_id,
            client=None,
            report_dir=".",
        )
    return paths.root / str(written)
