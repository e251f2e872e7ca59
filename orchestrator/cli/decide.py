"""`decide`: what a person decides where no harness reaches a verdict."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options as opt


def register(app: typer.Typer) -> None:
    app.command("decide")(decide)


def decide(
    run: Annotated[str, typer.Argument(help="A run's id, or its folder.", show_default=False)],
    instances: Annotated[
        list[str] | None,
        typer.Argument(help="Ids; if absent, all that are set aside.", show_default=False),
    ] = None,
    unresolved: Annotated[
        bool, typer.Option("--unresolved", help="Count them as unresolved, and redo them no more.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Redo them; takes an earlier decision back.")
    ] = False,
    because: Annotated[
        str, typer.Option("--because", help="Why: it stands in the report.", show_default=False)
    ] = "",
    runs_dir: opt.RunsDirOption = Path("runs"),
) -> None:
    """Decide on instances that fail again and again, such as tests that never fit into memory.

    The report shows a decision with its reason, apart from what the harness measured.

    Examples:

        python -m orchestrator decide RUN astropy__astropy-12907 --unresolved --because "30 GB"

        python -m orchestrator decide RUN --again --because "the registry is back"
    """
    from orchestrator.errors import ConfigError
    from orchestrator.run.decide import decide as record
    from orchestrator.types import Choice

    if unresolved == again:
        both = "not both" if again else "one of them is needed"
        raise ConfigError(f"decide: say --unresolved or --again; {both}")
    choice = Choice.UNRESOLVED if unresolved else Choice.AGAIN
    folder = opt.run_folder(run, runs_dir).resolve()
    chosen = record(folder, instances or [], choice, because)
    typer.echo(f"{choice}: {', '.join(chosen)}")
    if again:
        typer.echo(f"go on with: python -m orchestrator resume {shlex.quote(str(folder))}")
