"""`sweagent` before the night: which hosts it works on, which commit it goes on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.specs import CONTAINERS, PROCESSES

from orchestrator.agents.sweagent.installation import SweAgentInstallation
from orchestrator.agents.sweagent.kind import SweAgentKind
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.errors import (
    EXIT_PREREQUISITE,
    EXIT_USAGE,
    ConfigError,
    PrerequisiteError,
)

Check = Callable[..., None]
SWEAGENTS = ["sweagent", "sweagent-xml", "sweagent-tools"]


@pytest.mark.parametrize("agent", SWEAGENTS)
def test_it_works_where_it_is_installed(
    agent: str, check_agent: Check, installed_sweagent: SweAgentInstallation
) -> None:
    check_agent(agent, CONTAINERS)


@pytest.mark.parametrize("agent", SWEAGENTS)
def test_it_does_not_work_in_process_sandboxes(
    agent: str, check_agent: Check, installed_sweagent: SweAgentInstallation
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_agent(agent, PROCESSES)

    assert caught.value.exit_code == EXIT_USAGE
    assert f"agent {agent!r}" in str(caught.value)
    assert "use --sandbox docker, or --agent mini" in str(caught.value)


def test_where_it_is_not_installed_the_command_that_installs_it_is_named(
    check_agent: Check, sweagent_folder: SweAgentFolder
) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        check_agent("sweagent", CONTAINERS)

    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert "`python -m orchestrator agents install sweagent`" in caught.value.cure


def test_an_installation_for_another_platform_is_not_enough(
    check_agent: Check, installed_sweagent: SweAgentInstallation
) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        check_agent("sweagent", replace(CONTAINERS, platform="linux/arm64"))

    assert "agents install sweagent --platform linux/arm64" in caught.value.cure


def test_its_bundles_are_looked_for_in_its_checkout(
    check_agent: Check, installed_sweagent: SweAgentInstallation
) -> None:
    bundles = ["search", "edit", "submit", "state"]

    check_agent("sweagent", settings={"agent.bundles": bundles})
    with pytest.raises(ConfigError, match="no bundle 'serch'") as caught:
        check_agent("sweagent", settings={"agent.bundles": ["edit", "serch"]})
    assert str(installed_sweagent.paths.tools) in str(caught.value)


def test_a_colon_in_the_path_of_the_cache_is_told_before_the_night(
    check_agent: Check,
    sweagent_folder: SweAgentFolder,
    installed_sweagent: SweAgentInstallation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = sweagent_folder.root / "a:b" / "runtime"
    monkeypatch.setattr(type(installed_sweagent.paths), "runtime", lambda *_: runtime)

    with pytest.raises(PrerequisiteError, match=r"a:b/runtime can't be mounted"):
        check_agent("sweagent", CONTAINERS)


def test_a_run_goes_on_with_the_commit_that_it_began_with(
    check_agent: Check, installed_sweagent: SweAgentInstallation
) -> None:
    bundles = {"agent.bundles": ["search"]}

    check_agent("sweagent", CONTAINERS, bundles, {"sweagent_commit": installed_sweagent.commit})
    with pytest.raises(PrerequisiteError) as caught:
        check_agent("sweagent", CONTAINERS, bundles, {"sweagent_commit": "decaf" * 8})

    assert str(caught.value) == (
        "This run began with SWE-agent decafdecafde; c0ffee is installed here. "
        f"`python -m orchestrator agents install sweagent --ref {'decaf' * 8}`, with the --source "
        "that it came from, brings that back; or start a new run."
    )


def test_where_it_is_not_installed_programs_get_nothing_and_people_the_command(
    sweagent_folder: SweAgentFolder,
) -> None:
    assert SweAgentKind.installed() is None
    assert SweAgentKind.installed_line().startswith("SWE-agent is not installed; `python -m")


def test_a_run_can_not_hold_what_is_not_installed(
    sweagent_folder: SweAgentFolder, make_config: Callable[..., object]
) -> None:
    kind = SweAgentKind(make_config("sweagent").agent, {})  # type: ignore[attr-defined]

    with pytest.raises(PrerequisiteError, match="agents install sweagent"):
        kind.hold("linux/amd64").__enter__()
