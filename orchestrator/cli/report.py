"""`report`: what came of a run, on the terminal, as a page, or as a file of some form."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import matrix
from orchestrator.cli import options as opt
from orchestrator.cli.runs import RunArg
from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.paths import RunPaths
    from orchestrator.run.report_formats import RunToReport


class ReportFormat(StrEnum):
    """The keys of `run.report_formats.FORMATS`, here so that --help imports none of it."""

    MD = "md"
    HTML = "html"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[
    ReportFormat | None,
    typer.Option(
        "--format",
        help="Print it as Markdown, JSON or CSV (a row an instance); html writes report.html and "
        "prints its path. Absent: for the terminal, and report.html is written too.",
        show_default=False,
    ),
]
PublishedOption = Annotated[
    Path | None,
    typer.Option(
        "--published",
        help="A file of published results of the same benchmark, to stand beside this one in "
        "report.html.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    run: RunArg,
    runs_dir: opt.RunsDirOption = Path("runs"),
    as_json: opt.JsonOption = False,
    form: FormatOption = None,
    published: PublishedOption = None,
) -> None:
    """The report of a run as its journal stands now."""
    if as_json and form not in (None, ReportFormat.JSON):
        raise ConfigError(f"--json and --format {form} are two different forms: give one")
    form = ReportFormat.JSON if as_json else form
    if (root := opt.matrix_folder(run, runs_dir)) is not None:
        _report_matrix(root, form)
        return
    from orchestrator.paths import RunPaths
    from orchestrator.run.report_formats import FORMATS, RunToReport

    paths = RunPaths(opt.run_folder(run, runs_dir).resolve())
    found = RunToReport.read(paths, published)
    if form is not None:
        if published is not None and form is not ReportFormat.HTML:
            typer.echo("--published stands in report.html alone: --format html", err=True)
        typer.echo(FORMATS[form](found), nl=False)
        return
    _show(found, paths)


def _show(found: RunToReport, paths: RunPaths) -> None:
    """On the terminal; that the page can't be written keeps nobody from reading the numbers."""
    from orchestrator.display.summary import summarize
    from orchestrator.driver.leftovers import is_live

    problem = ""
    try:
        found.write_page()
    except ConfigError as error:
        problem = str(error)
    summarize(found.subject.report, paths, opt.make_console(), is_live=is_live(paths.root))
    if problem:
        typer.echo(problem, err=True)


def _report_matrix(root: Path, form: ReportFormat | None) -> None:
    if form not in (None, ReportFormat.JSON):
        raise ConfigError(
            f"{root.name} is a matrix: its report is for the terminal, in JSON, and in matrix.md; "
            f"--format {form} is of one of its runs"
        )
    matrix.print_report(root, as_json=form is ReportFormat.JSON)
