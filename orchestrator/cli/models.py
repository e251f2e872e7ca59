"""`models`: the models that have a profile, and new ones."""

from __future__ import annotations

import typer

from orchestrator.cli import options as opt
from orchestrator.cli import setup


def register(app: typer.Typer) -> None:
    models = typer.Typer(help="The models that have a profile.", invoke_without_command=True)
    models.callback()(_default)
    models.command("list")(list_models)
    models.command("add")(setup.add)
    app.add_typer(models, name="models")


def _default(
    context: typer.Context,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    if context.invoked_subcommand is None:
        list_models(config_dirs, as_json)


def list_models(config_dirs: opt.ConfigDirOption = None, as_json: opt.JsonOption = False) -> None:
    """The models that have a profile."""
    from orchestrator.cli.profiles import list_rows, print_rows

    keys = ("served_name", "endpoint")
    rows = list_rows("models", keys, config_dirs)
    if as_json:
        opt.print_json(rows)
    else:
        print_rows(rows, dict(zip(keys, keys, strict=True)))
