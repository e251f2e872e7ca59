"""Profiles are checked before they are written, and then written whole, where the user's lie."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.paths import write_atomic
from orchestrator.user_paths import user_configs

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Profile:
    """A profile that is not written yet."""

    kind: str
    """models or clusters."""
    name: str
    text: str

    def path(self, config_dirs: tuple[Path, ...]) -> Path:
        return profile_path(self.kind, self.name, config_dirs)


def profile_name(text: str) -> str:
    """A name that a profile's file can have. Raises ConfigError."""
    name = text.strip()
    if not NAME.fullmatch(name) or name.endswith(SUFFIXES):
        raise ConfigError(
            f"{text!r} can be no profile's name: letters, digits, '.', '_' and '-', and no .yaml"
        )
    return name


def profile_path(kind: str, name: str, config_dirs: tuple[Path, ...]) -> Path:
    """In the first folder that was asked for, or in the user's own."""
    folder = config_dirs[0] if config_dirs else user_configs()
    return folder.resolve() / kind / f"{name}.yaml"


def require_new(path: Path) -> None:
    """Raises ConfigError where it is there already."""
    if os.path.lexists(path):
        raise ConfigError(f"{path} is there already: another name, or --force to write it anew")


def checked_config(
    profiles: tuple[Profile, ...], config_dirs: tuple[Path, ...], benchmark: str = "demo"
) -> RunConfig:
    """The configuration of a run with these profiles.

    Raises:
        ConfigError: one of them is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, str] = {}
        for profile in profiles:
            file = Path(folder, profile.kind, f"{profile.name}.yaml")
            file.parent.mkdir(exist_ok=True)
            file.write_text(profile.text, encoding="utf-8")
            files[profile.kind] = str(file)
        request = RunRequest(
            benchmark,
            model=files.get("models"),
            agent="mini" if "models" in files else "nop",
            cluster=files.get("clusters", "local"),
            config_dirs=config_dirs,
        )
        try:
            return load_config(request)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{folder}{os.sep}", "the new ")) from None


def write_profile(profile: Profile, config_dirs: tuple[Path, ...]) -> Path:
    """Write it; the file.

    Raises:
        PrerequisiteError: the folder can't be written.
    """
    path = profile.path(config_dirs)
    try:
        write_atomic(path, profile.text)
    except OSError as error:
        raise PrerequisiteError(
            f"{path} can't be written ({error.strerror or error}).",
            "Name another folder with --config-dir, or $SWE_ORCHESTRATOR_CONFIG.",
        ) from None
    return path
