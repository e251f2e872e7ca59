"""`export`: a run in the forms that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options as opt

RunArg = Annotated[
    str, typer.Argument(help="A run's id, or its folder.", show_default=False, metavar="RUN")
]
KindArg = Annotated[
    str,
    typer.Argument(
        help="predictions (the harness), submission (the leaderboard), atif (Harbor), inspect "
        "(Inspect), parquet (pandas) or csv (spreadsheets).",
        show_default=False,
        metavar="KIND",
    ),
]


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    run: RunArg,
    kind: KindArg,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="A new folder; absent: exports/KIND in the run's own."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Of a submission: its name.")] = "",
    authors: Annotated[
        str, typer.Option("--authors", help="Of a submission: who submits it.")
    ] = "",
    site: Annotated[
        str, typer.Option("--site", help="Of a submission: a page about the system.")
    ] = "",
    technical_report: Annotated[
        str, typer.Option("--technical-report", help="Of a submission: its address.")
    ] = "",
    org: Annotated[str, typer.Option("--org", help="Of a submission: the organization.")] = "",
    open_model: Annotated[
        bool | None,
        typer.Option("--open-model/--closed-model", help="Of a submission: its model."),
    ] = None,
    open_system: Annotated[
        bool | None,
        typer.Option("--open-system/--closed-system", help="Of a submission: all the rest."),
    ] = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    as_json: opt.JsonOption = False,
) -> None:
    """Write a run as others read it: the harness, the leaderboard, Harbor, Inspect, pandas.

    Prints what a submission lacks still, one line each.
    """
    from orchestrator.exports.submission import Submitter
    from orchestrator.paths import RunPaths
    from orchestrator.run.export import export_run

    submitter = Submitter(name, authors, site, technical_report, org, open_model, open_system)
    paths = RunPaths(opt.run_folder(run, runs_dir).resolve())
    done = export_run(paths, kind, to, submitter)
    if as_json:
        opt.print_json(
            {
                "path": str(done.path),
                "count": done.count,
                "remarks": done.remarks,
                "missing": done.missing,
            }
        )
        return
    console = opt.make_console()
    for line in done.remarks:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in done.missing:
        console.print(
            f"missing: {line}", style="yellow", highlight=False, markup=False, soft_wrap=True
        )
    console.print(f"{done.count} → {done.path}", highlight=False, markup=False, soft_wrap=True)
