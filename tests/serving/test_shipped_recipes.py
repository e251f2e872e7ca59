"""The shipped recipes pass the lint that people's own command lines are held against."""

from __future__ import annotations

import pytest

from orchestrator.config import list_profiles
from orchestrator.config.recipe import Recipe, load_recipe
from orchestrator.serving.command import ServerCommand
from orchestrator.serving.lint import lint

RECIPES = [load_recipe(name) for name in list_profiles("recipes")]


def command_of(recipe: Recipe, name: str) -> ServerCommand:
    variant = recipe.variant(name)
    flags = [(f.name, None if f.value is None else str(f.value)) for f in recipe.flags_of(variant)]
    mounts: tuple[str, ...] = ()
    if recipe.chat_template:
        place = f"/templates/{recipe.chat_template.file_name}"
        flags.append(("--chat-template", place))
        mounts = (f"/somewhere:{place}:ro",)
    env = {one.name: str(one.value) for one in recipe.env_of(variant)}
    return ServerCommand(variant.weights, tuple(flags), recipe.image_of(variant), env, mounts)


@pytest.mark.parametrize(("recipe", "name"), [(r, name) for r in RECIPES for name in r.variants])
def test_no_variant_has_a_fault_that_is_known(recipe: Recipe, name: str) -> None:
    found = lint(command_of(recipe, name), recipe.machine)

    if name == "reported":  # kept as people have it, and it says what is known of its age
        assert [(fault.name, fault.is_fatal) for fault in found] == [
            ("version: old parser of Gemma 4", False)
        ]
    else:
        assert found == ()
