"""A server's command that a person wants checked: a command line, or a container that is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from orchestrator.config.load import list_profiles
from orchestrator.config.recipe import load_recipe
from orchestrator.config.yaml_files import read_yaml
from orchestrator.serving.command import ServerCommand
from orchestrator.serving.docker_command import container_name
from orchestrator.serving.read_command import read_argv, read_command
from orchestrator.serving.server import read_started
from orchestrator.serving.shell import Shell

_SECRET = re.compile("TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def command_asked_for(
    shell: Shell, text: str, config_dirs: tuple[Path, ...] = ()
) -> tuple[ServerCommand, str]:
    """The command, and the machine that it is known to be for (a recipe's; empty where unknown).

    `text` is a model's profile, whose container is meant, or else a command line where it has
    blanks, or else a container's name.

    Raises:
        ConfigError: it starts no server of vLLM.
        PrerequisiteError: ssh or docker fails, or there is no such container.
    """
    profiles = list_profiles("models", config_dirs)
    path = Path(text) if text.endswith((".yaml", ".yml")) else profiles.get(text)
    if path is not None:
        data = read_yaml(path, str(path))
        recipe = data.get("recipe") if isinstance(data, dict) else None
        machine = load_recipe(recipe, config_dirs).machine if isinstance(recipe, str) else ""
        return read_container(shell, container_name(path.stem)), machine
    if re.search(r"\s", text.strip()):
        return read_command(text), ""
    return read_container(shell, text), ""


def read_container(shell: Shell, name: str) -> ServerCommand:
    """How a container's server was started. Secrets of its environment are left out."""
    found = read_started(shell, name)
    argv = [str(found.get("path") or ""), *_texts(found.get("args"))]
    pairs = (text.partition("=") for text in _texts(found.get("env")))
    env = {key: value for key, _, value in pairs if not _SECRET.search(key)}
    mounts = [
        f"{mount.get('Source', '')}:{mount.get('Destination', '')}"
        for mount in found.get("mounts") or ()
        if isinstance(mount, dict)
    ]
    return read_argv(argv, str(found.get("image") or ""), env, mounts)


def _texts(values: object) -> Iterable[str]:
    return map(str, values) if isinstance(values, list) else ()
