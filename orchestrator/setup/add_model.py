"""`models add`: a profile of what a server serves, written from what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.recipe import load_recipe
from orchestrator.setup.profiles import ModelAnswers, find_known, model_name, model_text
from orchestrator.setup.server import ask_server
from orchestrator.setup.write import (
    Profile,
    checked_config,
    profile_path,
    require_new,
    write_profile,
)


@dataclass(frozen=True)
class Added:
    """A profile that was written, and what it is of."""

    path: Path
    answers: ModelAnswers


def add_model(
    name: str,
    base_url: str,
    *,
    served_name: str | None = None,
    api_key_env: str | None = None,
    recipe: str | None = None,
    force: bool = False,
    config_dirs: tuple[Path, ...] = (),
) -> Added:
    """Ask the server, and write the profile `name` of the model that it serves.

    Raises:
        ConfigError: a name or URL is wrong, several models are served and none is named, or the
            profile is there already (`force` writes it anew).
        PrerequisiteError: the server does not answer, or the folder can't be written.
    """
    name = model_name(name, config_dirs)
    if not force:
        require_new(profile_path("models", name, config_dirs))
    if recipe is not None:
        load_recipe(recipe, config_dirs)
    server = ask_server(base_url, api_key_env)
    served = server.model(served_name)
    answers = ModelAnswers(
        server.base_url,
        server.kind,
        served,
        server.api_key_env,
        find_known(served, config_dirs),
        recipe,
    )
    profile = Profile("models", name, model_text(name, answers, "models add"))
    checked_config((profile,), config_dirs)
    return Added(write_profile(profile, config_dirs), answers)
