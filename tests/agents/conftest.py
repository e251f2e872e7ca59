"""Agents as a run checks them, and an installation of SWE-agent that is found and never started."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support.specs import CONTAINERS

from orchestrator.agents import load_agent_kind
from orchestrator.agents.sweagent.installation import SweAgentInstallation
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.backends import Host
from orchestrator.config import RunConfig


@pytest.fixture
def check_agent(make_config: Callable[..., RunConfig]) -> Callable[..., None]:
    """Checks whether an agent can work: `check_agent("mini", PROCESSES, {"agent.bundles": []})`."""

    def check(
        name: str,
        host: Host = CONTAINERS,
        settings: Mapping[str, Any] | None = None,
        locked_versions: Mapping[str, str] | None = None,
    ) -> None:
        agent = make_config(name, settings).agent
        assert agent is not None
        load_agent_kind(agent, locked_versions or {}).check(host)

    return check


@pytest.fixture
def sweagent_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweAgentFolder:
    """Where SWE-agent is looked for: in an empty cache folder."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return SweAgentFolder.of_user()


@pytest.fixture
def installed_sweagent(sweagent_folder: SweAgentFolder) -> SweAgentInstallation:
    """What is left of an installation when only its manifest and its tool bundles are read."""
    found = SweAgentInstallation("one", "a source", "v1.1.0", "c0ffee", {}, ("linux/amd64",))
    bundle = found.paths.tools / "search"
    bundle.mkdir(parents=True)
    (bundle / "config.yaml").write_text("tools: {}\n", encoding="utf-8")
    found.paths.python.parent.mkdir(parents=True)
    found.paths.python.touch()
    sweagent_folder.manifest.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found
