"""`models`: the models that have a profile, and all that one of them says."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import options as opt
from orchestrator.cli import setup
from orchestrator.cli.profiles import print_profiles


def register(app: typer.Typer) -> None:
    models = typer.Typer(help="The models that have a profile.", invoke_without_command=True)
    models.callback()(_default)
    models.command("list")(list_models)
    models.command("show")(show)
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
    print_profiles("models", ("served_name", "endpoint"), config_dirs, as_json=as_json)


def show(
    model: Annotated[str, typer.Argument(help="A model profile, or a YAML file.")],
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """All of a model's profile, and how its server is started: each flag's reason and source."""
    from pathlib import Path

    from orchestrator.config import list_profiles, load_config
    from orchestrator.config.recipe import load_recipe
    from orchestrator.display.model_profile import Shown

    folders = tuple(config_dirs or ())
    found = load_config(opt.model_request(model, None, config_dirs, "a profile")).model
    assert found is not None, "the agent mini asks a model"
    recipe = load_recipe(found.recipe, folders) if found.recipe else None
    shown = Shown(found, list_profiles("models", folders).get(model, Path(model)), recipe)
    if as_json:
        opt.print_json(shown.as_dict())
    else:
        opt.make_console().print(shown.render(), highlight=False)
