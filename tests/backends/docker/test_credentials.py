"""Logins at registries, with helpers that are scripts on PATH: absent, locked, silent, odd."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.docker import credentials
from orchestrator.backends.docker.credentials import (
    find_login,
    settings_without_logins,
)
from orchestrator.errors import PrerequisiteError

SECRET = "hunter2-is-no-secret"
ANSWER = json.dumps({"ServerURL": "x", "Username": "me", "Secret": SECRET})
TOKEN = json.dumps({"ServerURL": "x", "Username": "<token>", "Secret": SECRET})
NOBODY = json.dumps({"ServerURL": "", "Username": "", "Secret": ""})
LOCKED = "error getting credentials - err: exit status 1, out: `User interaction is not allowed.`"
Settings = Callable[[dict[str, Any]], Path]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Writes Docker's config.json: `settings({"credsStore": "osxkeychain"})`."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    def write(given: dict[str, Any]) -> Path:
        (folder / "config.json").write_text(json.dumps(given))
        return folder

    return write


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a helper on PATH, as a shell script: `helper("pass", "exit 1")`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name: str, script: str) -> Path:
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write


HelperOf = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("name", "script", "problem", "cure"),
    [
        ("osxkeychain", f"echo '{LOCKED}'; exit 1", "User interaction", "security unlock-keychain"),
        ("desktop", f"echo '{LOCKED}'; exit 1", "User interaction", "start Docker Desktop"),
        ("pass", "echo 'gpg: decryption failed'; exit 2", "decryption failed", "GPG_TTY"),
        ("secretservice", "echo 'Cannot autolaunch D-Bus'; exit 1", "D-Bus", "keyring"),
        ("ecr-login", "exit 255", "docker-credential-ecr-login failed", "aws sts"),
        ("osxkeychain", "echo rubbish", "an answer that is none", "security unlock-keychain"),
        ("osxkeychain", "true", "an answer that is none", "security unlock-keychain"),
        ("osxkeychain", "echo '{}'", "an answer that is none", "security unlock-keychain"),
        ("osxkeychain", "echo '[1]'", "an answer that is none", "security unlock-keychain"),
        ("unheard-of", "exit 1", "docker-credential-unheard-of failed", "all images are public"),
    ],
)
def test_a_helper_that_fails_is_named_with_its_words_and_the_cure(
    name: str, script: str, problem: str, cure: str, settings: Settings, helper: HelperOf
) -> None:
    folder = settings({"credsStore": name})
    helper(name, script)

    login = find_login("docker.io")

    assert login.auth == {}
    assert problem in login.problem
    assert f"credsStore of {folder}" in login.problem
    assert cure in login.cure
    assert "\n" not in login.problem + login.cure


def test_a_helper_that_is_not_on_path_is_looked_for_where_installers_put_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings({"credsStore": "not-there"})
    assert "is not on PATH" in find_login("docker.io").problem
    assert "Install it" in find_login("docker.io").cure

    folder = tmp_path / "home" / ".orbstack" / "bin"
    folder.mkdir(parents=True)
    (folder / "docker-credential-not-there").write_text("")
    (folder / "docker-credential-not-there").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert f"It is in {folder}" in find_login("docker.io").cure


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_helper_that_can_not_be_run_is_a_problem_and_no_traceback(
    mode: int, settings: Settings, helper: HelperOf
) -> None:
    """Not executable, or for another system."""
    settings({"credsStore": "odd"})
    path = helper("odd", "")
    path.write_bytes(b"\x7fELF no program")
    path.chmod(mode)

    assert "docker-credential-odd" in find_login("docker.io").problem


@pytest.mark.slow
def test_a_helper_that_waits_for_a_dialog_is_not_waited_for_with_what_it_has_started(
    settings: Settings, helper: HelperOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT_S", 0.3)
    settings({"credsStore": "osxkeychain"})
    helper("osxkeychain", "sleep 60 & sleep 60")
    before = time.monotonic()

    assert "gave no answer in 0.3 s" in find_login("docker.io").problem
    assert time.monotonic() - before < 30


@pytest.mark.parametrize("script", [f"echo '{ANSWER}'; exit 1", f"echo '{ANSWER}' trailing"])
def test_no_secret_is_told_whatever_else_a_helper_does(
    script: str, settings: Settings, helper: HelperOf
) -> None:
    settings({"credsStore": "odd"})
    helper("odd", script)

    login = find_login("docker.io")

    assert login.problem
    assert SECRET not in str(login)


@pytest.mark.parametrize(
    ("answer", "auth"),
    [
        (ANSWER, {"Username": "me", "Password": SECRET}),
        (TOKEN, {"IdentityToken": SECRET}),
        (NOBODY, {}),
    ],
)
def test_a_helper_that_works_is_taken_at_its_word(
    answer: str, auth: dict[str, str], settings: Settings, helper: HelperOf
) -> None:
    """It is asked for Docker Hub under the address that `docker login` stores."""
    settings({"credsStore": "works"})
    helper("works", f"read -r server; [ $server = https://index.docker.io/v1/ ] && echo '{answer}'")

    login = find_login("docker.io")

    assert login.problem == ""
    assert {name: login.auth[name] for name in auth} == auth
    assert bool(login.auth) is bool(auth)


def test_a_helper_without_a_login_for_the_registry_is_no_problem(
    settings: Settings, helper: HelperOf
) -> None:
    """What config.json itself holds is taken then, as the SDK does."""
    settings({"credsStore": "empty", "auths": {"ghcr.io": {"auth": "bWU6c2VjcmV0"}}})
    helper("empty", "echo 'credentials not found in native keychain'; exit 1")

    assert find_login("docker.io") == credentials.Login({})
    assert find_login("ghcr.io").auth["username"] == "me"


def test_only_the_helper_of_the_registry_is_asked(settings: Settings) -> None:
    settings({"credHelpers": {"1.dkr.ecr.eu-west-1.amazonaws.com": "not-there"}})

    assert find_login("docker.io").problem == ""
    assert "credHelpers of" in find_login("1.dkr.ecr.eu-west-1.amazonaws.com").problem


@pytest.mark.parametrize(
    "given", [{"credHelpers": ["a"]}, {"auths": {"a": 5}}, {"credHelpers": "a"}]
)
def test_settings_of_no_form_are_one_line(given: dict[str, Any], settings: Settings) -> None:
    settings(given)

    with pytest.raises(PrerequisiteError, match=r"config\.json holds no settings"):
        find_login("docker.io")


def test_settings_for_a_build_without_logins_are_else_the_same(settings: Settings) -> None:
    folder = settings(
        {"credsStore": "x", "auths": {"a": {"auth": "bWU6c2VjcmV0"}}, "currentContext": "orbstack"}
    )
    (folder / "contexts").mkdir()
    (folder / "cli-plugins").mkdir()

    with settings_without_logins() as other:
        assert json.loads((other / "config.json").read_text()) == {"currentContext": "orbstack"}
        assert (other / "contexts").samefile(folder / "contexts")
        assert (other / "cli-plugins").samefile(folder / "cli-plugins")
    assert not other.exists()
    assert (folder / "contexts").is_dir()
