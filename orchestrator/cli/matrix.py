"""`matrix` and `matrices`: models x agents as one plan with one report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli import options as opt
from orchestrator.cli.profiles import print_profiles

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.config import RunRequest
    from orchestrator.config.matrix import MatrixFile
    from orchestrator.matrix.night import MatrixFinished


def register(app: typer.Typer) -> None:
    app.command("matrix")(matrix)
    app.command("matrices")(matrices)


def matrix(
    file: Annotated[
        str,
        typer.Argument(
            help="A YAML file with models and agents, or a matrix by its name (see `matrices`).",
            show_default=False,
        ),
    ],
    cluster: opt.ClusterOption = "auto",
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", help="Name of the matrix; the names of its runs begin with it."),
    ] = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    workers: opt.WorkersOption = None,
    sandbox: opt.SandboxOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Run models x agents over the same instances, and compare them in one table.

    `resume`, `report`, `status` and `clean` take the name of a matrix, or of one of its runs.

    Examples:

        python -m orchestrator matrix evening

        python -m orchestrator matrix mine.yaml --dry-run
    """
    options = opt.make_request(
        "",
        cluster=cluster,
        runs_dir=runs_dir,
        instances=instances,
        slice_=slice_,
        dataset_dir=dataset_dir,
        sandbox=sandbox,
        settings=settings,
        config_dirs=config_dirs,
        more={"cluster.workers": opt.as_workers(workers)},
    )
    from orchestrator.config.matrix import load_matrix

    loaded = load_matrix(file, options.config_dirs)
    launch_or_preview(loaded, run_id, options, dry_run=dry_run, as_json=as_json)


def launch_or_preview(
    file: MatrixFile, run_id: str | None, options: RunRequest, *, dry_run: bool, as_json: bool
) -> None:
    """Start a matrix and take it to its report, or print its plan."""
    console = opt.make_console(as_json=as_json)
    if dry_run:
        from orchestrator.matrix.preview import make_matrix_preview, render_matrix_preview

        preview = make_matrix_preview(file, run_id, options)
        if as_json:
            opt.print_json(preview.as_dict())
        else:
            console.print(render_matrix_preview(preview))
        return
    from orchestrator.matrix.night import launch_matrix

    finished = launch_matrix(file, run_id, options, console)
    report_and_exit(finished, console, as_json=as_json)


def matrices(config_dirs: opt.ConfigDirOption = None, as_json: opt.JsonOption = False) -> None:
    """The matrices that have a profile."""
    keys = ("benchmark", "models", "agents")
    print_profiles("matrices", keys, config_dirs, as_json=as_json)


def report_and_exit(finished: MatrixFinished, console: Console, *, as_json: bool) -> NoReturn:
    """Print how a session of a matrix ended, and leave with its exit code."""
    from orchestrator.matrix.view import summarize_matrix

    if as_json:
        opt.print_json(finished.report.as_dict())
    else:
        summarize_matrix(finished.report, finished.paths, finished.exit_code, console)
    raise typer.Exit(finished.exit_code)


def print_report(folder: Path, *, as_json: bool) -> None:
    """The report of a matrix as the journals of its runs stand now."""
    from orchestrator.matrix.markdown import headline
    from orchestrator.matrix.read import read_report
    from orchestrator.matrix.record import MatrixRecord
    from orchestrator.matrix.view import render_matrix_report
    from orchestrator.paths import MatrixPaths

    paths = MatrixPaths(folder.resolve())
    found = read_report(MatrixRecord.read(paths), paths)
    if as_json:
        opt.print_json(found.as_dict())
        return
    console = opt.make_console()
    console.print(render_matrix_report(found))
    console.print(headline(found), style="bold", highlight=False)
