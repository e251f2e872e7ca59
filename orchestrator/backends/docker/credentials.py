"""Logins at registries, as Docker's client finds them: in config.json, or by a credential helper.

A helper is a program, docker-credential-NAME, that config.json names for all registries
(`credsStore`) or for one (`credHelpers`). On a Mac it asks the keychain, which is locked where a
person came by ssh: the helper then fails, or waits for a dialog that nobody sees. The SDK waits
with it for ever, and `docker build` gives up though the image is public; `docker pull` goes on
without login, and so do we.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker.auth
import docker.errors

from orchestrator.backends.docker.address import config_dir, unreadable
from orchestrator.backends.docker.programs import path_advice, run_program
from orchestrator.errors import one_line

HELPER_TIMEOUT_S = 15.0
"""One that asks a cloud for a token takes seconds; one that waits for a person, for ever."""
PREFIX = "docker-credential-"
NOT_FOUND = "credentials not found in native keychain"
"""What all helpers print, on every system, where they hold no login for a registry."""

_KEYCHAIN = "`security unlock-keychain ~/Library/Keychains/login.keychain-db` in this login first"
CURES = {
    "osxkeychain": f"{_KEYCHAIN}.",
    "desktop": f"On a Mac, {_KEYCHAIN}, and start Docker Desktop.",
    "pass": "Unlock its key: `pass ls` (and `export GPG_TTY=$(tty)`).",
    "secretservice": "Unlock the keyring of a session with D-Bus, or use `pass`.",
    "ecr-login": "Check `aws sts get-caller-identity`.",
    "gcloud": "Check `gcloud auth login`.",
    "gcr": "Check `docker-credential-gcr gcr-login`.",
}
"""By the helper's name; others have the general one alone."""
WITHOUT = "Where all images are public, take {key} out of {config}."


@dataclass(frozen=True)
class Login:
    """What a registry is shown; `problem` says why that is nothing although it may need to be."""

    auth: Mapping[str, Any]
    """As the engine takes it; empty: without login."""
    problem: str = ""
    cure: str = ""


def find_login(registry: str) -> Login:
    """The login for a registry.

    Raises:
        PrerequisiteError: Docker's config.json can't be read.
    """
    config = config_dir(os.environ) / "config.json"
    try:
        settings = docker.auth.load_config()
        helper = settings.get_credential_store(registry)
        asked = _ask(str(helper), registry) if helper else None
        if asked is not None and asked.problem:
            key = "credHelpers" if registry in settings.cred_helpers else "credsStore"
            cure = f"{asked.cure} {WITHOUT.format(key=key, config=config)}"
            return Login({}, f"{asked.problem} ({key} of {config})", cure)
        if asked is not None and asked.auth:
            return asked
        written = docker.auth.AuthConfig({"auths": settings.auths}).resolve_authconfig(registry)
    except (docker.errors.InvalidConfigFile, AttributeError, TypeError) as error:
        raise unreadable(config, error) from None
    return Login(written or {})


def files_with_logins() -> tuple[Path, ...]:
    """Docker's config.json, where it holds a login itself, and no helper does."""
    config = config_dir(os.environ) / "config.json"
    try:
        auths = docker.auth.load_config().auths
    except (docker.errors.InvalidConfigFile, AttributeError, TypeError):
        return ()  # `find_login` tells
    has_some = any(any(login.values()) for login in (auths or {}).values() if login)
    return (config,) if has_some else ()


def _ask(helper: str, registry: str) -> Login:
    """Ask a helper, as the SDK does. Nothing that it prints as an answer is ever shown."""
    program = f"{PREFIX}{helper}"
    server = docker.auth.INDEX_URL if registry == docker.auth.INDEX_NAME else registry
    cure = CURES.get(helper, "")
    try:
        done = run_program([program, "get"], HELPER_TIMEOUT_S, given=server)
    except FileNotFoundError:
        return Login({}, f"{program} is not on PATH", path_advice(program))
    except OSError as error:
        return Login({}, f"{program} can't be run: {error.strerror}", path_advice(program))
    if done.exit_code is None:
        return Login({}, f"{program} gave no answer in {HELPER_TIMEOUT_S:g} s", cure)
    if done.exit_code != 0:
        said = one_line(done.output, 120)
        if NOT_FOUND in said:
            return Login({})
        words = f": {said}" if said and "Secret" not in done.output else ""
        return Login({}, f"{program} failed{words}", cure)
    try:
        answer = json.loads(done.output)
        name, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Login({}, f"{program} gave an answer that is none", cure)
    if not name and not secret:
        return Login({})
    if name == docker.auth.TOKEN_USERNAME:
        return Login({"ServerAddress": server, "IdentityToken": secret})
    return Login({"ServerAddress": server, "Username": name, "Password": secret})


@contextmanager
def settings_without_logins() -> Iterator[Path]:
    """A folder like that of Docker's client (contexts, plugins), whose settings hold no login and
    name no helper."""
    with TemporaryDirectory(prefix="docker-config-") as folder:
        own = config_dir(os.environ).resolve()
        for path in own.iterdir():
            if path.name != "config.json":
                (Path(folder) / path.name).symlink_to(path)
        settings = json.loads((own / "config.json").read_text(encoding="utf-8"))
        for key in ("auths", "credsStore", "credHelpers"):
            settings.pop(key, None)
        (Path(folder) / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        yield Path(folder)
