"""What `serve` would start: a profile's recipe as a command, and what is broken in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.load import list_profiles
from orchestrator.config.recipe import Recipe, load_recipe
from orchestrator.config.schema import Model
from orchestrator.errors import ConfigError
from orchestrator.serving.docker_command import DockerRun, command_of, make_run
from orchestrator.serving.faults import Fault
from orchestrator.serving.lint import lint
from orchestrator.serving.template import fetch_template, read_template


@dataclass(frozen=True)
class ServePlan:
    model: Model
    recipe: Recipe
    run: DockerRun
    faults: tuple[Fault, ...]
    own_template: str | None = None
    """Text of a file that a person has brought."""

    def template_text(self) -> str | None:
        """Of the chat template, downloaded where it is not here; None where none is needed.

        Raises:
            PrerequisiteError: it can't be had.
        """
        if self.run.template is None or self.own_template is not None:
            return self.own_template
        return fetch_template(self.run.template)


def make_plan(
    model: Model,
    config_dirs: tuple[Path, ...] = (),
    *,
    variant: str | None = None,
    port: int | None = None,
    template_file: Path | None = None,
    force: bool = False,
) -> ServePlan:
    """Without a word to the host. `force` takes another template than the recipe's.

    Raises:
        ConfigError: there is no recipe, or no such variant, or the file can't be used.
    """
    recipe = require_recipe(model, config_dirs)
    template, text = None, None
    if template_file is not None:
        template, text = read_template(template_file, recipe, force=force)
    run = make_run(model, recipe, variant, port, template)
    command = command_of(recipe, variant, model.served_name, model.context_length, template)
    return ServePlan(model, recipe, run, lint(command, recipe.machine), text)


def require_recipe(model: Model, config_dirs: tuple[Path, ...] = ()) -> Recipe:
    """Raises ConfigError where the model's profile names none; it says how one is written."""
    if model.recipe is not None:
        return load_recipe(model.recipe, config_dirs)
    known = ", ".join(list_profiles("recipes", config_dirs))
    raise ConfigError(
        f"model {model.name!r} names no recipe of its server: add `recipe: NAME` to its profile "
        f"(known: {known}), or write one of your own as recipes/NAME.yaml beside the folder of "
        "your profile; configs/recipes/gemma-4-26b.yaml shows how"
    )
