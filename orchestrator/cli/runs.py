"""`status` and `clean`: looking at runs, and clearing up after dead ones."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.journal import RunState
    from orchestrator.report.build import Report

RunArg = Annotated[
    str, typer.Argument(help="A run's id, or its folder; a matrix's too.", show_default=False)
]
MaybeRunArg = Annotated[
    str | None, typer.Argument(help="A run's id, or a matrix's; all runs if absent.")
]

STATE_STYLES = {
    "live": "cyan",
    "done": "green",
    "quarantined": "red",
    "to be resumed": "yellow",
}


def register(app: typer.Typer) -> None:
    app.command("status")(status)
    app.command("clean")(clean)


def status(
    run: MaybeRunArg = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    as_json: opt.JsonOption = False,
) -> None:
    """Where runs stand, live ones too."""
    from rich import box
    from rich.table import Table

    from orchestrator.report.names import FAILURE_WORDS
    from orchestrator.report.words import interval_words

    folders = _folders(run, runs_dir)
    rows = [_status_row(f) if run and len(folders) == 1 else _row_or_problem(f) for f in folders]
    if as_json:
        opt.print_json(rows)
        return
    matrix_id = Path(run).name if run and len(folders) > 1 else None
    table = Table(title=matrix_id, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in (
        "run",
        "state",
        "rolled out",
        "graded",
        "resolved, 95% interval",
        "without a verdict",
    ):
        table.add_column(name, overflow="fold")  # names of a matrix's runs are long, and matter
    for row in rows:
        if "problem" in row:
            table.add_row(row["run_id"], row["problem"], style="red")
            continue
        failures = row["failures"].items()
        table.add_row(
            row["run_id"].removeprefix(f"{matrix_id}."),
            _state_cell(row),
            f"{row['attempted']}/{row['instances']}",
            str(row["graded"]),
            f"{row['resolved']} ({row['resolve_rate']:.1%})\n{interval_words(row['ci95'])}",
            "\n".join(f"{count} x {FAILURE_WORDS[name]}" for name, count in failures) or "none",
        )
    console = opt.make_console()
    console.print(table if rows else f"no runs in {runs_dir}", highlight=False)


def _state_cell(row: dict[str, Any]) -> Text:
    """With how much time is left, of a run that is live."""
    from rich.text import Text

    from orchestrator.report.words import duration_range

    left = row["time_left_s"]
    words = f", left\n{duration_range(*left)}" if left else ""
    return Text(f"{row['state']}{words}", style=STATE_STYLES[row["state"]])


def clean(
    run: MaybeRunArg = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    as_json: opt.JsonOption = False,
) -> None:
    """Remove what dead runs left: sandboxes of every kind, and processes.

    Journals, patches, logs and reports stay; so does everything that is not ours.
    """
    from orchestrator.backends.base import Cleaned
    from orchestrator.paths import RunPaths
    from orchestrator.run.cleanup import clean_dead_runs, clean_run, hold_driver_lock, known_kinds

    if run:
        cleaned = Cleaned()
        for folder in _folders(run, runs_dir):
            paths = RunPaths(folder.resolve())
            with hold_driver_lock(paths):
                cleaned += clean_run(paths, known_kinds(paths.root.parent))
    else:
        cleaned = clean_dead_runs(runs_dir, known_kinds(runs_dir))
    if as_json:
        typer.echo(json.dumps(dict(cleaned.counts)))
        return
    typer.echo(f"removed {cleaned}" if cleaned else "nothing to remove")
    for problem in cleaned.problems:
        typer.echo(f"not everything was looked for: {problem}")


def _folders(run: str | None, runs_dir: Path) -> list[Path]:
    """Of a run, of those of a matrix that have started, or of all."""
    from orchestrator.matrix.record import MatrixRecord
    from orchestrator.paths import MatrixPaths

    if run is None:
        return sorted(path.parent for path in runs_dir.glob("*/journal.sqlite"))
    if (root := opt.matrix_folder(run, runs_dir)) is None:
        return [opt.run_folder(run, runs_dir)]
    paths = MatrixPaths(root.resolve())
    runs = [paths.run(one.run_id) for one in MatrixRecord.read(paths).runs]
    return [one.root for one in runs if one.journal.exists()]


def _read_report(folder: Path) -> tuple[Report, RunState]:
    """The report of the run in a folder, as its journal stands, and that; nobody looks into its
    files."""
    from orchestrator.config import load_run_config
    from orchestrator.journal import read_journal
    from orchestrator.paths import RunPaths
    from orchestrator.run.calibrations import standings_of
    from orchestrator.run.folder import report_of
    from orchestrator.run.lock import RunLock

    paths = RunPaths(folder.resolve())
    lock, state = RunLock.read(paths), read_journal(paths.journal)
    config = load_run_config(paths.config)
    standings = standings_of(paths, config, state, lock)
    return report_of(config, state, lock, standings=standings), state


def _row_or_problem(folder: Path) -> dict[str, Any]:
    """A run that can't be read must not hide the others."""
    from orchestrator.errors import OrchestratorError

    try:
        return _status_row(folder)
    except OrchestratorError as error:
        return {"run_id": folder.name, "problem": str(error)}


def _status_row(folder: Path) -> dict[str, Any]:
    from orchestrator.driver.leftovers import is_live

    found, journal = _read_report(folder)
    if is_live(folder):
        state = "live"
    elif found.valid:
        state = "done" if found.validity.is_valid else "quarantined"
    else:
        state = "to be resumed"
    keys = ("run_id", "benchmark", "model", "agent", "instances", "attempted", "graded", "resolved")
    more = ("resolve_rate", "ci95", "failures", "valid", "wall_s")
    row = {key: getattr(found, key) for key in (*keys, *more)}
    now = time.time()
    left = None
    if state == "live" and journal.ends_at is not None and not found.valid:
        left = [max(1.0, at - now) for at in journal.ends_at]
    return {**row, "state": state, "time_left_s": left, "asked_at": now}
