"""The command line: parse, call one function, turn its result into an exit code."""

from __future__ import annotations

import os
import sys

import typer

from orchestrator import __version__
from orchestrator.cli import (
    agents,
    bench,
    calibrate,
    compare,
    decide,
    diagnose,
    doctor,
    export,
    grading,
    images,
    matrix,
    models,
    profiles,
    report,
    runs,
    serve,
    setup,
    start,
)
from orchestrator.cli.options import require_text_arguments, require_working_folder

app = typer.Typer(
    name="orchestrator",
    help="Run SWE-bench overnight on your own hardware, and trust the number in the morning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half of the time that --help may take
    context_settings={"help_option_names": ["-h", "--help"]},
)
setup.register(app)
start.register(app)
matrix.register(app)
compare.register(app)
runs.register(app)
report.register(app)
export.register(app)
grading.register(app)
decide.register(app)
profiles.register(app)
models.register(app)
agents.register(app)
bench.register(app)
doctor.register(app)
calibrate.register(app)
serve.register(app)
diagnose.register(app)
images.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Run SWE-bench overnight on your own hardware, and trust the number in the morning."""


def main() -> None:
    """Entry point. What a person can mend is one line on stderr, and an exit code of its kind."""
    from orchestrator.errors import EXIT_INTERRUPTED, OrchestratorError
    from orchestrator.stop_signals import interrupt_on_all

    interrupt_on_all()
    try:
        require_text_arguments(sys.argv)
        require_working_folder()
        app(prog_name="python -m orchestrator")
    except OrchestratorError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as end:
        # typer makes one of an interrupt that comes while a command goes on, and says nothing
        if end.__context__ and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            typer.echo("interrupted", err=True)
        raise
    except BrokenPipeError:
        # the reader of our output (head, a pager) has gone; say nothing more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
