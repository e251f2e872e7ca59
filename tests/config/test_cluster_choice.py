"""Which cluster a run has where nobody names one."""

from __future__ import annotations

import platform

import pytest

from orchestrator.config import RunRequest, list_profiles, load_config
from orchestrator.config.cluster_choice import SYSTEMS, choose_cluster
from orchestrator.errors import ConfigError


def cluster_of(system: str, monkeypatch: pytest.MonkeyPatch, **request: str) -> tuple[str, str]:
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

    assert {choice.name for choice in (*SYSTEMS.values(), choose_cluster())} <= set(shipped)


def test_a_profile_that_is_not_there_is_an_error_as_before() -> None:
    with pytest.raises(ConfigError, match="mac-mini"):
        load_config(RunRequest("lite", agent="gold", cluster="macmini"))
