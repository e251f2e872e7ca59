"""What a run has of each kind of agent: checks before it starts, versions, a light import."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from orchestrator.agents import load_agent_kind
from orchestrator.agents.sweagent.installation import Installation
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.config.schema import find_agent_kind
from orchestrator.errors import (
    EXIT_PREREQUISITE,
    EXIT_USAGE,
    ConfigError,
    OrchestratorError,
    PrerequisiteError,
)
from orchestrator.plugins import AGENTS

MakeConfig = Callable[..., RunConfig]
CONTAINERS, PROCESSES = Host("docker", 8.0, 2), Host("process", 8.0, 2, isolates=False)
SWEAGENTS = ["sweagent", "sweagent-xml", "sweagent-tools"]


def require_agent(config: RunConfig, host: Host, commit: str = "") -> None:
    assert config.agent is not None
    locked_versions = {"sweagent_commit": commit} if commit else {}
    load_agent_kind(config.agent, locked_versions).check(host)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweAgentFolder:
    """Where SWE-agent is looked for: in an empty cache folder."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return SweAgentFolder.of_user()


@pytest.fixture
def installed(folder: SweAgentFolder) -> Installation:
    """What is left of an installation when only its manifest and its tool bundles are read."""
    found = Installation("one", "a source", "v1.1.0", "c0ffee", {}, ("linux/amd64",))
    for name, script in {"search": "", "chatty": "pip install 'tree-sitter'\n"}.items():
        bundle = found.paths.checkout / "tools" / name
        bundle.mkdir(parents=True)
        (bundle / "config.yaml").write_text("tools: {}\n", encoding="utf-8")
        (bundle / "install.sh").write_text(script, encoding="utf-8")
    found.paths.python.parent.mkdir(parents=True)
    found.paths.python.touch()
    folder.manifest.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


@pytest.mark.parametrize("agent", ["gold", "nop", "mini", "mini-edit"])
@pytest.mark.parametrize("host", [CONTAINERS, PROCESSES])
def test_agents_that_come_with_the_project_work_on_any_host(
    agent: str, host: Host, make_config: MakeConfig, folder: SweAgentFolder
) -> None:
    require_agent(make_config(agent), host)


@pytest.mark.parametrize("bundles", [["search"], ["edit", "search"], ["edit_calls"]])
def test_mini_has_no_bundle_but_edit(bundles: list[str], make_config: MakeConfig) -> None:
    config = make_config("mini", {"agent.bundles": bundles})

    with pytest.raises(ConfigError) as caught:
        require_agent(config, PROCESSES)

    assert caught.value.exit_code == EXIT_USAGE
    assert str(caught.value) == "agent.bundles: mini knows only `edit`"


@pytest.mark.parametrize("agent", SWEAGENTS)
def test_sweagent_works_where_it_is_installed(
    agent: str, make_config: MakeConfig, installed: Installation
) -> None:
    require_agent(make_config(agent), CONTAINERS)


@pytest.mark.parametrize("agent", SWEAGENTS)
def test_sweagent_does_not_work_in_process_sandboxes(
    agent: str, make_config: MakeConfig, installed: Installation
) -> None:
    with pytest.raises(ConfigError) as caught:
        require_agent(make_config(agent), PROCESSES)

    assert caught.value.exit_code == EXIT_USAGE
    assert f"agent {agent!r}" in str(caught.value)
    assert "use --sandbox docker, or --agent mini" in str(caught.value)


def test_without_sweagent_the_command_that_installs_it_is_named(
    make_config: MakeConfig, folder: SweAgentFolder
) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        require_agent(make_config("sweagent"), CONTAINERS)

    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert "`python -m orchestrator agents install sweagent`" in caught.value.cure


def test_sweagent_for_sandboxes_of_another_platform_is_not_enough(
    make_config: MakeConfig, installed: Installation
) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        require_agent(make_config("sweagent"), replace(CONTAINERS, platform="linux/arm64"))

    assert "agents install sweagent --platform linux/arm64" in caught.value.cure


def test_bundles_of_sweagents_own_are_found_in_its_checkout(
    make_config: MakeConfig, installed: Installation
) -> None:
    config = make_config("sweagent", {"agent.bundles": ["search", "edit", "submit", "state"]})

    require_agent(config, CONTAINERS)


def bundle_problem(name: str, make_config: MakeConfig) -> str:
    config = make_config("sweagent", {"agent.bundles": ["edit", name]})
    with pytest.raises(OrchestratorError) as caught:
        require_agent(config, CONTAINERS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_bundle_is_an_error_that_names_the_known_ones(
    make_config: MakeConfig, installed: Installation
) -> None:
    said = bundle_problem("serch", make_config)

    assert "agent.bundles: no bundle 'serch'; ours are edit, edit_calls, state, submit" in said
    assert str(installed.paths.checkout / "tools") in said


def test_a_bundle_that_installs_packages_can_not_work_without_a_network(
    make_config: MakeConfig, installed: Installation
) -> None:
    assert "agent.bundles: chatty installs packages in the sandbox" in bundle_problem(
        "chatty", make_config
    )


def test_a_template_that_is_no_jinja_is_an_error_before_the_night(make_config: MakeConfig) -> None:
    config = make_config("mini", {"agent.instance_template": "fine\n{% if task %}"})

    with pytest.raises(ConfigError, match=r"agent\.instance_template: line 2: .*end of template"):
        require_agent(config, CONTAINERS)


def test_a_run_goes_on_with_the_commit_that_it_began_with(
    make_config: MakeConfig, installed: Installation
) -> None:
    config = make_config("sweagent", {"agent.bundles": ["search"]})

    require_agent(config, CONTAINERS, installed.commit)
    with pytest.raises(PrerequisiteError) as caught:
        require_agent(config, CONTAINERS, "decaf" * 8)

    assert str(caught.value) == (
        "This run began with SWE-agent decafdecafde; c0ffee is installed here. "
        f"`python -m orchestrator agents install sweagent --ref {'decaf' * 8}`, with the --source "
        "that it came from, brings that back; or start a new run."
    )


def test_the_versions_of_sweagent_are_locked_and_others_have_none(
    make_config: MakeConfig, installed: Installation
) -> None:
    assert versions_of(make_config("sweagent")) == {"sweagent_commit": "c0ffee"}
    assert {name: versions_of(make_config(name)) for name in ("gold", "nop", "mini")} == {
        "gold": {},
        "nop": {},
        "mini": {},
    }


def versions_of(config: RunConfig) -> dict[str, str]:
    assert config.agent is not None
    return load_agent_kind(config.agent, {}).versions()


@pytest.mark.parametrize("name", ["gold", "nop", "mini", "sweagent"])
def test_a_kind_travels_to_workers(name: str, make_config: MakeConfig) -> None:
    settings = make_config(name).agent
    assert settings is not None
    kind = load_agent_kind(settings, {"python": "3.11"})

    assert pickle.loads(pickle.dumps(kind)) == kind


@pytest.mark.parametrize(
    ("name", "asks_model", "needs_gold_patch"),
    [
        ("gold", False, True),
        ("nop", False, False),
        ("mini", True, False),
        ("sweagent", True, False),
    ],
)
def test_a_kind_says_what_its_rollouts_are_given(
    name: str, asks_model: bool, needs_gold_patch: bool
) -> None:
    kind = find_agent_kind(name)

    assert (kind.asks_model, kind.needs_gold_patch) == (asks_model, needs_gold_patch)


def test_kinds_are_imported_without_what_their_agents_need() -> None:
    program = f"""
        import importlib, sys
        for path in {list(AGENTS.values())!r}:
            importlib.import_module(path.partition(":")[0])
        heavy = ["minisweagent", "litellm", "docker", "httpx", "ray", "jinja2", "swebench"]
        print([name for name in heavy if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("mni", "unknown kind 'mni'; known: sweagent, mini, gold, nop, or package.module:Class"),
        ("no_such_package.agent:Kind", "can't be imported: No module named 'no_such_package'"),
        ("json:Kind", "can't be imported"),
        ("json:JSONDecoder", "is no agent"),
    ],
)
def test_a_kind_that_there_is_not_is_one_clear_line(kind: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_agent_kind(kind)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
