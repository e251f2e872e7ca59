"""A placeholder for an address is reported with the line to change; real addresses pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import RunRequest, list_profiles, load_config
from orchestrator.config.address import is_unset, require_address
from orchestrator.errors import PrerequisiteError

PROFILE = """\
description: Ours.
served_name: m
endpoint:
  request_timeout_s: 60
  base_url: http://not-set.invalid:8000/v1
"""


def require(request: RunRequest) -> None:
    require_address(load_config(request), request)


def test_the_line_of_the_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ours.yaml").write_text(PROFILE, encoding="utf-8")

    with pytest.raises(PrerequisiteError) as caught:
        require(RunRequest("demo", "ours", "mini", config_dirs=(tmp_path,)))

    assert f"{tmp_path}/models/ours.yaml:5" in str(caught.value)
    assert "--set model.endpoint.base_url=" in str(caught.value)
    assert "`python -m orchestrator init` writes a profile" in str(caught.value)


@pytest.mark.parametrize("model", ["qwen3.5-35b", "gemma-4-26b"])
def test_a_shipped_profile_asks_for_an_address_until_it_has_one(model: str) -> None:
    file = list_profiles("models")[model]
    lines = file.read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "base_url" in line)
    address = {"model.endpoint.base_url": "http://192.0.2.7:8000/v1"}

    with pytest.raises(PrerequisiteError, match=f"{file}:{number};"):
        require(RunRequest("demo", model, "mini"))
    require(RunRequest("demo", model, "mini", settings=address))


def test_a_placeholder_from_the_command_line_names_its_setting() -> None:
    given = {"model.endpoint.base_url": "http://x.invalid/v1"}

    with pytest.raises(PrerequisiteError, match=r"into --set model\.endpoint"):
        require(RunRequest("demo", "scripted", "mini", settings=given))


def test_runs_without_a_server_need_no_address() -> None:
    require(RunRequest("demo", agent="gold"))
    require(RunRequest("demo", "scripted", "mini"))


def test_only_names_of_the_reserved_domain_are_placeholders() -> None:
    assert is_unset("http://your-model-server.invalid:8000/v1")
    assert not any(
        map(is_unset, ("http://invalid:8000/v1", "http://a.example/x.invalid", "scripted"))
    )
