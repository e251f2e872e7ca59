"""What a run has of each kind of agent: checks before it starts, versions, a light import."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
from support.specs import CONTAINERS, PROCESSES

from orchestrator.agents import load_agent_kind
from orchestrator.agents.sweagent.installation import SweAgentInstallation
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.config.schema import find_agent_kind
from orchestrator.errors import ConfigError
from orchestrator.plugins import AGENTS

MakeConfig = Callable[..., RunConfig]
Check = Callable[..., None]


@pytest.mark.parametrize("agent", ["gold", "nop", "mini", "mini-edit"])
@pytest.mark.parametrize("host", [CONTAINERS, PROCESSES])
def test_agents_that_come_with_the_project_work_on_any_host(
    agent: str, host: Host, check_agent: Check, sweagent_folder: SweAgentFolder
) -> None:
    check_agent(agent, host)


def test_the_versions_of_sweagent_are_locked_and_others_have_none(
    make_config: MakeConfig, installed_sweagent: SweAgentInstallation
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


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        *((name, False) for name in ("gold", "nop", "mini", "mini-edit", "sweagent")),
        ("sweagent-xml", False),
        ("sweagent-tools", True),
    ],
)
def test_a_kind_says_whether_it_calls_functions(
    name: str, calls: bool, make_config: MakeConfig
) -> None:
    settings = make_config(name).agent
    assert settings is not None

    assert load_agent_kind(settings, {}).calls_functions is calls


@pytest.mark.slow
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
        ("mni", "unknown kind 'mni'; known: sweagent, openhands, mini, gold, nop, or "),
        ("no_such_package.agent:Kind", "can't be imported: No module named 'no_such_package'"),
        ("json:Kind", "can't be imported"),
        ("json:JSONDecoder", "is no agent"),
    ],
)
def test_a_kind_that_does_not_exist_is_one_clear_line(kind: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_agent_kind(kind)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
