"""`agents` as people meet it: which there are, and what is installed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from support.commands import Ended

from orchestrator.agents.sweagent.installation import SweAgentInstallation
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.paths import write_atomic

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]


def test_agents_are_listed(say: Say) -> None:
    assert "gold" in [row["name"] for row in json.loads(say("agents --json").succeeded())]
    assert "gold" in say("agents").succeeded()


def test_agents_are_listed_without_naming_the_command(say: Say) -> None:
    assert say("agents") == say("agents list")
    assert say("agents --json") == say("agents list --json")


def test_where_an_agent_is_not_installed_the_command_that_installs_it_is_named(say: Say) -> None:
    rows = json.loads(say("agents list --json").succeeded())

    shown = say("agents").succeeded()
    for agent in ("sweagent", "openhands"):
        assert f"`python -m orchestrator agents install {agent}` does that" in shown
    installed = {row["name"]: row["installed"] for row in rows if "installed" in row}
    openhands, sweagent = (
        ("openhands", "openhands-text"),
        ("sweagent", "sweagent-tools", "sweagent-xml"),
    )
    assert installed == dict.fromkeys((*openhands, *sweagent))
    assert {row["kind"] for row in rows} >= {"sweagent", "mini", "gold", "nop"}


def test_an_installed_sweagent_is_listed_with_its_versions(say: Say) -> None:
    found = SweAgentInstallation(
        folder="one",
        source="https://somewhere",
        ref="v1.1.0",
        commit="c0ffee0c0ffee0c0ffee",
        versions={"sweagent": "1.1.0", "swe-rex": "1.4.0"},
        platforms=("linux/amd64", "linux/arm64"),
    )
    cache = Path(os.environ["SWE_ORCHESTRATOR_CACHE"])
    assert cache.name == "cache", "never the user's own"
    write_atomic(SweAgentFolder.of_user().manifest, json.dumps(asdict(found)))
    write_atomic(found.paths.python, "")
    try:
        said = say("agents").succeeded().split()
        rows = json.loads(say("agents --json").succeeded())
    finally:
        shutil.rmtree(cache)

    told = "SWE-agent v1.1.0 (c0ffee0c0ffe) with SWE-ReX 1.4.0, for sandboxes of linux/amd64,"
    assert told in " ".join(said)
    (row,) = [row for row in rows if row["name"] == "sweagent"]
    assert row["installed"] == {
        "folder": str(found.paths.root),
        "source": "https://somewhere",
        "ref": "v1.1.0",
        "commit": "c0ffee0c0ffee0c0ffee",
        "versions": {"sweagent": "1.1.0", "swe-rex": "1.4.0"},
        "platforms": ["linux/amd64", "linux/arm64"],
    }
