"""Which cluster a run has where nobody names one."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import RunRequest, list_profiles, load_config
from orchestrator.config.cluster_choice import SYSTEMS, choose_by_system, choose_cluster
from orchestrator.errors import ConfigError


def cluster_of(system: str, monkeypatch: pytest.MonkeyPatch, **request: Any) -> tuple[str, str]:
    monkeypatch.setattr(platform, "system", lambda: system)
    cluster = load_config(RunRequest("lite", agent="gold", **request)).cluster
    return cluster.name, cluster.because


def test_a_mac_has_the_profile_for_macs(monkeypatch: pytest.MonkeyPatch) -> None:
    name, because = cluster_of("Darwin", monkeypatch)

    assert name == "mac-mini"
    assert "macOS" in because


@pytest.mark.parametrize("system", ["Linux", "FreeBSD", ""])
def test_other_systems_have_the_profile_for_all(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster_of(system, monkeypatch)[0] == "local"


def test_who_names_a_profile_gets_it_and_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_of("Darwin", monkeypatch, cluster="local") == ("local", "")


def test_every_choice_is_a_profile_that_ships() -> None:
    shipped = list_profiles("clusters")

    assert {choice.name for choice in (*SYSTEMS.values(), choose_by_system())} <= set(shipped)


@pytest.mark.parametrize("system", ["Darwin", "Linux"])
def test_who_has_a_profile_of_this_machine_gets_it(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "clusters" / "home.yaml"
    own.parent.mkdir()
    own.write_text("workers: 3\n")

    assert cluster_of(system, monkeypatch, config_dirs=(tmp_path,)) == (
        "home",
        f"{own} is there",
    )
    monkeypatch.setenv("SWE_ORCHESTRATOR_CONFIG", str(tmp_path))
    assert cluster_of(system, monkeypatch)[0] == "home"
    assert cluster_of(system, monkeypatch, cluster="local")[0] == "local"
    assert choose_cluster({}).name != "home"


def test_a_profile_that_is_not_there_is_an_error_as_before() -> None:
    with pytest.raises(ConfigError, match="mac-mini"):
        load_config(RunRequest("lite", agent="gold", cluster="macmini"))
