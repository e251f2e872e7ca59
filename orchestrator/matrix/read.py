"""The runs of a matrix as they stand on the disk, and the report of them, written."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.config import RunConfig, load_run_config
from orchestrator.config.changes import find_other_run
from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.journal import read_journal
from orchestrator.matrix.cells import CellRun
from orchestrator.matrix.grid import draw_grids
from orchestrator.matrix.markdown import render_matrix
from orchestrator.matrix.record import MatrixRecord
from orchestrator.matrix.report import MatrixReport, build_matrix_report
from orchestrator.matrix.results import RunResult
from orchestrator.paths import MatrixPaths, RunPaths, write_atomic
from orchestrator.run.calibrations import standings_of
from orchestrator.run.folder import report_of
from orchestrator.run.lock import RunLock


def read_report(
    record: MatrixRecord, paths: MatrixPaths, problems: Mapping[str, str] | None = None
) -> MatrixReport:
    """The report as the runs' journals stand. `problems`, by run, are why some did not start."""
    told = problems or {}
    runs = [_read(run, paths.run(run.run_id), told.get(run.run_id, "")) for run in record.runs]
    return build_matrix_report(record, runs)


def write_report(report: MatrixReport, paths: MatrixPaths) -> None:
    """matrix.json, matrix.md and grid.svg."""
    write_atomic(paths.report_json, json.dumps(report.as_dict(), indent=1, ensure_ascii=False))
    write_atomic(paths.grid, draw_grids(report.matrix_id, report.grids))
    write_atomic(paths.report_md, render_matrix(report))


def _read(run: CellRun, paths: RunPaths, problem: str) -> RunResult:
    """One that can't be read hides no other."""
    if not paths.journal.exists():
        return RunResult(run.run_id, run.cell, run.attempt, problem=problem)
    try:
        config = load_cell_config(run, paths)
        lock, state = RunLock.read(paths), read_journal(paths.journal)
        standings = standings_of(paths, config, state, lock)
        report = report_of(config, state, lock, standings=standings)
    except OrchestratorError as error:
        return RunResult(run.run_id, run.cell, run.attempt, problem=str(error))
    return RunResult(run.run_id, run.cell, run.attempt, report, state)


def load_cell_config(run: CellRun, paths: RunPaths) -> RunConfig:
    """The configuration of a cell's run that has started.

    Raises:
        ConfigError: it can't be read, or somebody has started another run under this name.
    """
    config = load_run_config(paths.config)
    other = find_other_run(run.config, config)
    if other is not None:
        raise ConfigError(
            f"{paths.root} holds another run than this matrix planned ({other.key} is "
            f"{other.after!r}, and not {other.before!r}): move it away, and `resume` starts this "
            "cell"
        )
    return config
