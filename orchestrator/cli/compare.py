"""`compare`: two runs or more, or results of others, on the same instances."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options as opt


class OnInstances(StrEnum):
    """On which instances."""

    SAME = "same"
    COMMON = "common"


def register(app: typer.Typer) -> None:
    app.command("compare")(compare)


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            help="Each a run's id or folder, that of all attempts, MATRIX:MODEL.AGENT, "
            "published:FILE or published:FILE:SYSTEM, or a harness's report (MODEL.RUN.json).",
            metavar="A B [C...]",
            show_default=False,
        ),
    ],
    on: Annotated[
        OnInstances,
        typer.Option("--on", help="common: those instances alone that all of them have met."),
    ] = OnInstances.SAME,
    runs_dir: opt.RunsDirOption = Path("runs"),
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page too.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write Markdown too.", show_default=False)
    ] = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Compare runs instance by instance: what differs, who is better, and how sure that is.

    Examples:

        python -m orchestrator compare monday tuesday --html both.html

        python -m orchestrator compare mine published:results.json:SYSTEM --on common
    """
    from orchestrator.compare.build import build_comparison
    from orchestrator.compare.read import read_sides
    from orchestrator.compare.view import render_comparison

    found = build_comparison(read_sides(sides, runs_dir), on.value)
    console = opt.make_console(as_json=as_json)
    if as_json:
        opt.print_json(found.as_dict())
    else:
        console.print(render_comparison(found))
    if html is not None:
        from orchestrator.compare.page import render_comparison_page

        _write(html, render_comparison_page(found, html.resolve().parent))
        console.print(f"page: {html}", highlight=False)
    if markdown is not None:
        from orchestrator.compare.markdown import render_comparison_markdown

        _write(markdown, render_comparison_markdown(found, markdown.resolve().parent))
        console.print(f"Markdown: {markdown}", highlight=False)


def _write(path: Path, text: str) -> None:
    """Raises ConfigError where it can't be written."""
    from orchestrator.errors import ConfigError
    from orchestrator.paths import write_atomic

    try:
        write_atomic(path, text)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror or error}") from None
