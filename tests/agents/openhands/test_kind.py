from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.specs import CONTAINERS, PROCESSES

from orchestrator.agents import load_agent_kind
from orchestrator.agents.openhands import installation
from orchestrator.agents.openhands.installation import OpenHandsInstallation
from orchestrator.agents.openhands.program import runner_program
from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.errors import ConfigError, PrerequisiteError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenHandsInstallation:
    """Found, and never started."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    found = OpenHandsInstallation("one", "1.58.2", "", {"litellm": "1"})
    monkeypatch.setattr(installation, "find_installation", lambda: found)
    return found


@pytest.mark.parametrize("host", [CONTAINERS, PROCESSES])
@pytest.mark.parametrize("name", ["openhands", "openhands-text"])
def test_it_works_in_any_sandbox_of_ours(
    name: str, host: Host, check_agent: Callable[..., None], installed: OpenHandsInstallation
) -> None:
    check_agent(name, host)


def test_whether_it_calls_functions_is_the_profiles(make_config: Callable[..., RunConfig]) -> None:
    calls = {
        name: load_agent_kind(make_config(name).agent, {}).calls_functions
        for name in ("openhands", "openhands-text")
    }

    assert calls == {"openhands": True, "openhands-text": False}


@pytest.mark.parametrize("key", ["instance_template", "reminder_template", "no_call_template"])
def test_a_template_that_is_no_jinja_is_refused(
    key: str, check_agent: Callable[..., None], installed: OpenHandsInstallation
) -> None:
    with pytest.raises(ConfigError, match=f"agent.{key}: line 1"):
        check_agent("openhands", settings={f"agent.{key}": "{% if %}"})


def test_a_run_keeps_to_the_version_that_it_began_with(
    check_agent: Callable[..., None], installed: OpenHandsInstallation
) -> None:
    check_agent("openhands", locked_versions={"openhands": "1.58.2"})
    with pytest.raises(PrerequisiteError, match="began with OpenHands"):
        check_agent("openhands", locked_versions={"openhands": "1.57.0"})


def test_its_runners_have_a_home_of_their_own(installed: OpenHandsInstallation) -> None:
    environment = runner_program(installed).environment

    assert Path(environment["HOME"]).is_relative_to(installed.root)
    assert Path(environment["OH_PERSISTENCE_DIR"]).is_relative_to(environment["HOME"])
