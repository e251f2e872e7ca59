"""The official predictions: one line an instance with an outcome, as the harness reads them."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.exports.base import Exported, RunToExport
from orchestrator.paths import write_atomic
from orchestrator.report.words import counted
from orchestrator.types import Prediction

FILE = "predictions.jsonl"


def export_predictions(run: RunToExport, folder: Path) -> Exported:
    path = folder / FILE
    write_atomic(path, predictions_text(run))
    absent = len(run.report.failure_ids) + len(run.report.decided)
    without = [i for i in run.reader.state.instances if i not in run.patches]
    remarks = []
    if without:
        remarks.append(
            f"{counted(len(without), 'instance')} without an outcome have none, such as "
            f"{without[0]}: the harness counts them as incomplete"
        )
    elif absent:
        remarks.append(f"{counted(absent, 'instance')} have a prediction and no verdict")
    return Exported(path, counted(len(run.patches), "prediction"), tuple(remarks))


def predictions_text(run: RunToExport) -> str:
    """In the run's order."""
    name = run.reader.config.model_name_or_path
    # in ASCII: readers that split at every line break of Unicode find none but ours
    lines = (
        json.dumps(Prediction(instance_id, name, run.patches[instance_id]).as_dict())
        for instance_id in run.reader.state.instances
        if instance_id in run.patches
    )
    return "".join(f"{line}\n" for line in lines)
