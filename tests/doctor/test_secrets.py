"""Secrets that others read are told, with the command that takes them away; others are let be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import RunConfig, RunRequest
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import CheckFinding, Severity
from orchestrator.doctor.secret_checks import Secrets
from orchestrator.doctor.secrets import secret_keys, who_reads

Look = Callable[..., list[CheckFinding]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a user who has nothing yet."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("SWE_ORCHESTRATOR_CONFIG", str(folder / "configs"))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / ".docker"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "token"))
    return folder


@pytest.fixture
def open_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All folders above let everybody pass, and this user's group has others in it."""
    monkeypatch.setattr("orchestrator.doctor.secrets._is_alone", lambda user, group: False)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o011 != 0o011:
            folder.chmod(0o755)


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o600, ""), (0o400, ""), (0o640, "its group"), (0o644, "everybody"), (0o604, "everybody")],
)
@pytest.mark.usefixtures("open_above")
def test_who_reads_a_file_is_said_by_its_mode(tmp_path: Path, mode: int, who: str) -> None:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)

    assert who_reads(path) == who


@pytest.mark.usefixtures("open_above")
def test_a_folder_that_nobody_else_may_pass_keeps_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / "token"
    path.write_text("secret")
    path.chmod(0o644)

    for mode, who in ((0o700, ""), (0o750, "its group"), (0o755, "everybody")):
        folder.chmod(mode)
        assert who_reads(path) == who
    path.chmod(0o640)
    folder.chmod(0o750)
    assert who_reads(path) == "its group"
    monkeypatch.setattr("orchestrator.doctor.secrets._is_alone", lambda user, group: True)
    assert who_reads(path) == ""


@pytest.mark.parametrize(
    "key",
    ["api_key", "API-Key", "apikey", "hf_token", "OPENAI_API_KEY", "password", "Authorization",
     "token", "aws_secret_access_key", "client_secret", "GITHUB_TOKEN"],
)  # fmt: skip
def test_what_is_named_like_a_secret_is_one(key: str) -> None:
    assert list(secret_keys({"extra": [{key: "abc"}]}, "model")) == [f"model.extra.{key}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("eos_token", "<eos>"), ("stop_token", "x"), ("max_tokens", 5), ("api_key_env", "MY_KEY"),
     ("token", ""), ("token", None), ("token", 5), ("tokenizer", "x"), ("secretary", "x")],
)  # fmt: skip
def test_what_is_only_alike_is_none(key: str, value: object) -> None:
    assert list(secret_keys({key: value})) == []


@pytest.mark.usefixtures("open_above")
def test_files_with_secrets_that_others_read_are_told_with_chmod(
    home: Path, make_config: Callable[..., RunConfig], look: Look
) -> None:
    profile = home / "configs" / "models" / "mine.yaml"
    config = home / ".docker" / "config.json"
    for path in (profile, config):
        path.parent.mkdir(parents=True)
    profile.write_text("request_fields: {api_key: sk-1}")
    (profile.parent / "harmless.yaml").write_text("request_fields: {eos_token: x}")
    (profile.parent / "broken.yaml").write_text("{")
    config.write_text(json.dumps({"auths": {"docker.io": {"auth": "dXNlcjpwYXNz"}}}))
    (home / "token").write_text("hf_secret")
    case = Case(make_config("nop"), Path("runs"), RunRequest("demo"))
    case.known["host"] = type("DockerHost", (), {"kind": "docker"})()

    secrets = [profile, home / "token", config]
    for path in (*secrets, profile.parent / "harmless.yaml"):
        path.chmod(0o644)
    assert [finding.cure for finding in look(case, Secrets())] == [
        f"chmod 600 {path}" for path in secrets
    ]
    for path in secrets:
        path.chmod(0o600)
    assert [finding.level for finding in look(case, Secrets())] == [Severity.PASS]


@pytest.mark.parametrize(
    "settings",
    [{"auths": {"docker.io": {}}, "credsStore": "osxkeychain"}, {"auths": {}}, {}, None],
)
@pytest.mark.usefixtures("open_above")
def test_settings_of_docker_that_hold_no_login_may_be_read(
    home: Path, make_config: Callable[..., RunConfig], look: Look, settings: object
) -> None:
    (home / ".docker").mkdir()
    if settings is not None:
        (home / ".docker" / "config.json").write_text(json.dumps(settings))
    case = Case(make_config("nop"), Path("runs"))
    case.known["host"] = type("DockerHost", (), {"kind": "docker"})()

    assert [finding.level for finding in look(case, Secrets())] == [Severity.PASS]


def test_a_key_in_the_configuration_goes_into_every_run_and_is_told(
    home: Path, make_config: Callable[..., RunConfig], look: Look
) -> None:
    settings = {
        "cluster.sandbox.kind": "process",
        "model.request_fields": {"api_key": "sk-1"},
        "cluster.sandbox.env": {"HF_TOKEN": "hf_1", "LANG": "C"},
    }

    found = look(Case(make_config("mini", settings), Path("runs")), Secrets())

    assert [finding.what.split()[0] for finding in found] == [
        "model.request_fields.api_key",
        "cluster.sandbox.env.HF_TOKEN",
    ]
    assert "api_key_env" in found[0].cure
    assert "sk-1" not in str(found)
