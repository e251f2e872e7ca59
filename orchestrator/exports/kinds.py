"""The exports that there are, by their names on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.exports.atif import export_atif
from orchestrator.exports.base import Export, Exported, RunToExport
from orchestrator.exports.inspect_file import require_inspect, write_inspect_log
from orchestrator.exports.inspect_log import inspect_log
from orchestrator.exports.predictions import export_predictions
from orchestrator.exports.submission import Submitter, export_submission
from orchestrator.exports.tables import export_csv, export_parquet
from orchestrator.report.words import counted

SUBMISSION = "submission"


@dataclass(frozen=True)
class ExportKind:
    write: Export
    require: Callable[[], None] = lambda: None
    """Asked before anything is read or removed. Raises PrerequisiteError: a library is missing."""


def export_inspect(run: RunToExport, folder: Path) -> Exported:
    """<run>.eval, by Inspect's own library."""
    path = folder / f"{run.reader.state.run_id}.eval"
    log = inspect_log(run)
    write_inspect_log(log, path)
    return Exported(path, counted(len(log["samples"]), "sample"))


def export_kinds(submitter: Submitter) -> Mapping[str, ExportKind]:
    """By name, in the order of their help."""
    return {
        "predictions": ExportKind(export_predictions),
        SUBMISSION: ExportKind(
            lambda run, folder: export_submission(run, folder, submitter),
        ),
        "atif": ExportKind(export_atif),
        "inspect": ExportKind(export_inspect, require_inspect),
        "parquet": ExportKind(export_parquet),
        "csv": ExportKind(export_csv),
    }
