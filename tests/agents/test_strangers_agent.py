"""An agent of somebody else's, named by its import path, runs instances of the demo as ours do.

`test_agent_contract.py` has it among its rounds too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import support.strangers_agent
from support.commands import CommandLine

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunRequest, load_config
from orchestrator.config.load import load_run_config
from orchestrator.errors import EXIT_DONE, ConfigError

MODULE = Path(support.strangers_agent.__file__)
PROFILE = str(MODULE.with_suffix(".yaml"))


def test_its_section_is_its_own() -> None:
    config = load_config(RunRequest("demo", agent=PROFILE))

    assert config.agent is not None
    assert config.model_name_or_path == "scripted__patient"
    assert config.agent.model_dump() == {
        "name": "patient",
        "description": "Somebody else's agent.",
        "kind": "support.strangers_agent:PatientKind",
        "greeting": "Take your time.",
        "max_format_errors": 3,
        "shown_chars": 2000,
    }


def test_an_unknown_key_of_its_section_is_reported_like_any_other() -> None:
    request = RunRequest("demo", agent=PROFILE, settings={"agent.greting": "Hello."})

    with pytest.raises(ConfigError, match="did you mean 'greeting'"):
        load_config(request)


def test_its_settings_are_its_own_to_check() -> None:
    config = load_config(RunRequest("demo", agent=PROFILE, settings={"agent.greeting": ""}))
    assert config.agent is not None

    with pytest.raises(ConfigError, match="say something"):
        load_agent_kind(config.agent, {}).check(None)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.ray
def test_it_runs_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its own folder on PYTHONPATH, with no file of the package changed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(MODULE.parents[1])]))
    orchestrate = CommandLine(tmp_path / "runs")

    words = ["--agent", PROFILE, "--instances", "orchard__.*"]
    ended = orchestrate.launch("process", "a-run", *words)

    assert ended.exit_code == EXIT_DONE, ended.stderr
    report = ended.report
    assert (report["agent"], report["resolved"], report["valid"]) == ("patient", 3, True)
    run_dir = tmp_path / "runs" / "a-run"
    assert json.loads((run_dir / "lock.json").read_text())["versions"]["patient"] == "7"
    config = load_run_config(run_dir / "run.yaml")
    assert config.agent == load_config(RunRequest("demo", agent=PROFILE)).agent
    (path,) = run_dir.glob("rollouts/orchard__ledger-12/1/trajectory.json")
    steps = json.loads(path.read_text())["steps"]
    assert [step["action"] for step in steps][::2] == ["git status --short && ls", "submit"]
    assert steps[0]["shown"].startswith("exit code 0\n")
    assert "exit code" not in steps[0]["observation"]
