"""What is checked before a run starts, in which order, and what is asked when."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_model import FakeModelServer, completion
from support.rows import key_of
from support.specs import CONTAINERS

from orchestrator.agents import AgentKind, load_agent_kind
from orchestrator.agents.nop import NopKind
from orchestrator.backends import Host, Place, choose_host
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.doctor import host_checks
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check
from orchestrator.doctor.engine_checks import Limits
from orchestrator.doctor.examine import Checked, require_passed, require_ready
from orchestrator.doctor.host_checks import Mounts, RunsDisk
from orchestrator.driver.plan import Plan
from orchestrator.driver.this_host import free_disk_gb
from orchestrator.endpoint.key import require_key
from orchestrator.errors import ConfigError, PrerequisiteError

MakeConfig = Callable[..., RunConfig]
CheckRun = Callable[..., Checked]
NOWHERE, ALSO_NOWHERE = "http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"
MODELS = json.dumps({"data": [{"id": "scripted", "max_model_len": 32768}]})
ROLLOUTS = Plan((key_of("orchard__ledger-12"),), (), 0)
GRADES = Plan((), (key_of("orchard__ledger-12"),), 0)
NOTHING = Plan((), (), 12)
NO_DISK = {"cluster.min_free_disk_gb": 1e9}


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    """A model server with the scripted model's name."""
    with FakeModelServer(pages={"/v1/models": MODELS}) as running:
        yield running


@pytest.fixture
def check_run(make_config: MakeConfig, demo: Dataset, tmp_path: Path) -> CheckRun:
    """Checks a run by `mini` in process sandboxes: `check_run({"rollout.max_steps": 3})`."""

    def run(
        settings: dict[str, Any], plan: Plan = ROLLOUTS, name: str = "mini", **more: Any
    ) -> Checked:
        config = make_config(name, {"cluster.sandbox.kind": "process"} | settings)
        assert config.agent is not None
        agent: AgentKind | None = more.get("agent", load_agent_kind(config.agent, {}))
        host = choose_host(config, demo.instances)
        run_dir = tmp_path / "runs" / "a-run"
        return require_ready(Case(config, run_dir, dataset=demo, host=host, agent=agent, plan=plan))

    return run


def look(
    check: Check, config: RunConfig, host: Host = CONTAINERS, run_dir: Path = Path("runs")
) -> None:
    """One check of a run on these sandboxes, whose plan has one rollout."""
    require_passed(Case(config, run_dir, host=host, plan=ROLLOUTS), [check])


def test_an_engine_with_fewer_cores_than_a_sandbox_wants_is_told_of_before_the_night(
    make_config: MakeConfig,
) -> None:
    host = replace(CONTAINERS, cpus=1, engine_name="Colima", enlarge="`colima start --cpu 4`")
    config = make_config("nop")

    with pytest.raises(PrerequisiteError, match=r"cpus is 2, and Colima has 1 core.*Set it to 1"):
        look(Limits(), config, host)
    look(Limits(), config, replace(host, cpus=2))


@dataclass(frozen=True)
class NeverAsked(NopKind):
    """An agent that can work nowhere."""

    def check(self, host: Host) -> None:
        raise AssertionError("it was asked")


MISSING: list[tuple[dict[str, Any], str]] = [
    ({"cluster.sandbox.kind": "docker"}, "no Docker engine answers"),
    (NO_DISK, "GB free, less than"),
    ({"model.personas.default": "sings"}, r"model\.personas\.default: .*'sings'"),
    ({"agent.system_template": "{{"}, r"agent\.system_template: line 1"),
    ({"model.endpoint.api_key_env": "NO_SUCH_KEY_HERE"}, r"\$NO_SUCH_KEY_HERE is not set"),
    ({"model.endpoint.base_url": NOWHERE}, f"{NOWHERE} does not answer"),
]


@pytest.mark.parametrize("mended", range(len(MISSING)))
def test_what_is_missing_is_reported_in_one_order(
    mended: int, check_run: CheckRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    settings = {"model.endpoint.base_url": NOWHERE}
    for missing, _ in MISSING[mended:]:
        settings |= missing

    with pytest.raises((ConfigError, PrerequisiteError), match=MISSING[mended][1]):
        check_run(settings)


def test_where_nothing_is_to_be_done_only_the_host_is_looked_at(check_run: CheckRun) -> None:
    settings = NO_DISK | {"model.endpoint.base_url": NOWHERE, "model.personas.default": "sings"}

    checked = check_run(settings, NOTHING, agent=NeverAsked(None, {}))  # type: ignore[arg-type]

    assert checked == Checked(checked.host)
    assert checked.host.kind == "process"


def test_grades_alone_need_disk_and_a_host_but_no_model_and_no_agent(check_run: CheckRun) -> None:
    settings = {"model.endpoint.base_url": NOWHERE, "model.personas.default": "sings"}

    for agent in (None, NeverAsked(None, {})):  # type: ignore[arg-type]
        checked = check_run(settings, GRADES, agent=agent)
        assert checked == Checked(checked.host)
    with pytest.raises(PrerequisiteError, match="GB free, less than"):
        check_run(NO_DISK, GRADES)


def test_an_agent_that_asks_no_model_needs_no_server(check_run: CheckRun) -> None:
    checked = check_run({}, name="nop")

    assert checked == Checked(checked.host)


def test_the_scripted_model_is_neither_asked_nor_given_a_key(check_run: CheckRun) -> None:
    checked = check_run({"model.endpoint.api_key_env": "NO_SUCH_KEY_HERE"})

    assert (checked.key, checked.serving) == ("", ())


def test_a_server_is_asked_one_real_question_with_the_key(
    check_run: CheckRun, server: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_THIS_TEST", "secret")
    settings = {
        "model.endpoint.base_url": server.base_url,
        "model.endpoint.api_key_env": "KEY_OF_THIS_TEST",
    }

    checked = check_run(settings)

    assert checked.key == "secret"
    assert len(server.asked) == 1
    assert server.headers[0]["Authorization"] == "Bearer secret"
    (serving,) = checked.serving
    assert serving.base_url == server.base_url
    assert serving.facts["model"]["max_model_len"] == 32768
    assert serving.facts["canary"]["answer"] == "an answer"
    assert checked.warnings == ()


@pytest.mark.parametrize("replica_first", [False, True])
def test_a_server_that_is_missing_beside_another_is_a_warning(
    check_run: CheckRun, server: FakeModelServer, replica_first: bool
) -> None:
    first, second = server.base_url, NOWHERE
    if replica_first:
        first, second = second, first
    settings = {"model.endpoint.base_url": first, "model.endpoint.replicas": [second]}

    checked = check_run(settings)

    assert [serving.base_url for serving in checked.serving] == [server.base_url]
    (warning,) = checked.warnings
    assert warning.startswith(
        f"a replica is missing: the model server at {NOWHERE} does not answer"
    )


def test_where_no_server_answers_the_first_is_reported(check_run: CheckRun) -> None:
    settings = {"model.endpoint.base_url": NOWHERE, "model.endpoint.replicas": [ALSO_NOWHERE]}

    with pytest.raises(PrerequisiteError, match=rf"{NOWHERE} does not answer"):
        check_run(settings)


def test_a_server_with_a_shorter_context_than_the_profile_is_a_warning(
    check_run: CheckRun, server: FakeModelServer
) -> None:
    settings = {"model.endpoint.base_url": server.base_url, "model.context_length": 65536}

    (warning,) = check_run(settings).warnings

    assert "the server's context is 32768 tokens, the profile's 65536" in warning


@pytest.mark.slow
def test_a_model_that_thinks_although_it_was_told_not_to_is_a_warning(
    check_run: CheckRun, server: FakeModelServer
) -> None:
    server.otherwise = lambda: completion(message={"reasoning": "Let me see."})
    told_not_to = {"chat_template_kwargs": {"enable_thinking": False}}
    settings = {"model.endpoint.base_url": server.base_url}

    assert check_run(settings).warnings == ()
    (warning,) = check_run(settings | {"model.request_fields": told_not_to}).warnings
    assert "the model thinks although the profile turns thinking off" in warning


@pytest.fixture
def ray_address() -> Iterator[str]:
    """Of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_ray_that_does_not_answer_is_told_before_the_night(check_run: CheckRun) -> None:
    with pytest.raises(PrerequisiteError, match=r"no Ray answers at 127\.0\.0\.1:9"):
        check_run({"cluster.ray_address": "127.0.0.1:9"}, GRADES)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_gateway_that_other_nodes_can_not_reach_is_a_warning(
    check_run: CheckRun, ray_address: str, host: str
) -> None:
    on_a_cluster = {"cluster.ray_address": ray_address, "cluster.gateway.host": host}

    (warning,) = check_run(on_a_cluster).warnings

    assert f"workers on other nodes can't reach the gateway at {host}" in warning


def test_a_gateway_that_workers_can_reach_is_none(check_run: CheckRun, ray_address: str) -> None:
    on_a_cluster = {"cluster.ray_address": ray_address, "cluster.gateway.host": "10.0.0.7"}

    assert check_run({"cluster.gateway.host": "127.0.0.1"}).warnings == ()
    assert check_run(on_a_cluster).warnings == ()


def test_without_a_model_there_is_no_gateway_to_be_reached(
    check_run: CheckRun, ray_address: str
) -> None:
    assert check_run({"cluster.ray_address": ray_address}, name="nop").warnings == ()


def test_the_disk_is_that_of_the_nearest_folder_that_exists(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    deep = tmp_path / "not" / "there" / "yet"

    assert free_disk_gb(deep) == pytest.approx(free_disk_gb(tmp_path), rel=0.05)
    look(RunsDisk(), make_config("nop", {"cluster.min_free_disk_gb": 0}), run_dir=deep)
    with pytest.raises(PrerequisiteError, match=rf"{tmp_path} has .* GB free"):
        look(RunsDisk(), make_config("nop", NO_DISK), run_dir=deep)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [" sk-1 ", "sk-1\n", "sk-1\r\n"])
def test_a_line_break_of_a_file_is_no_part_of_the_key(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("KEY_OF_THIS_TEST", given)
    config = make_config("mini", {"model.endpoint.api_key_env": "KEY_OF_THIS_TEST"})

    assert require_key(config.model.endpoint) == "sk-1"


@pytest.mark.parametrize("given", ["schlüssel", "ключ", "sk\n1", "sk-1\x7f", "sk\ud8001", "sk’1"])
def test_a_key_that_no_header_can_hold_is_told_before_the_night(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy() | {"KEY_OF_THIS_TEST": given})
    config = make_config("mini", {"model.endpoint.api_key_env": "KEY_OF_THIS_TEST"})

    with pytest.raises(PrerequisiteError, match="KEY_OF_THIS_TEST holds what no header") as caught:
        require_key(config.model.endpoint)
    assert given not in str(caught.value)


def mounting(make_config: MakeConfig, *mounts: str) -> RunConfig:
    return make_config("nop", {"cluster.sandbox.mounts": list(mounts)})


def test_a_mount_of_what_is_not_here_is_refused_before_docker_makes_a_folder_of_it(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide's bundle, on a Mac: it has its certificates elsewhere."""
    of_mac = tmp_path / "cert.pem"
    of_mac.write_text("certificates")
    monkeypatch.setattr(host_checks, "CA_BUNDLES", ("/no/such.pem", str(of_mac)))
    config = mounting(make_config, "/etc/no-such/ca-certificates.crt:/etc/ssl/ca.crt:ro")

    for place in (Place.HERE, Place.VIRTUAL_MACHINE):
        with pytest.raises(ConfigError, match=r"no /etc/no-such/ca-certificates\.crt") as caught:
            look(Mounts(), config, replace(CONTAINERS, place=place))
        assert str(of_mac) in str(caught.value)
    look(Mounts(), config, replace(CONTAINERS, place=Place.ELSEWHERE))


@pytest.mark.parametrize("name", ["ca.crt", "config.json", "bundle.pem"])
def test_an_empty_folder_that_docker_made_in_place_of_a_file_is_told(
    make_config: MakeConfig, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()

    with pytest.raises(ConfigError, match="is an empty folder"):
        look(Mounts(), mounting(make_config, f"{tmp_path / name}:/x"))


@pytest.mark.parametrize("name", ["tools", "cache.d", "v1.2", "my.project", "python3.11", "a.crt"])
def test_a_mount_of_what_is_here_is_taken(
    make_config: MakeConfig, tmp_path: Path, name: str
) -> None:
    """An empty folder too, unless its name is a file's; and a folder with such a name that holds
    something."""
    (tmp_path / name).mkdir()
    if name in ("python3.11", "a.crt"):
        (tmp_path / name / "x").write_text("")

    look(Mounts(), mounting(make_config, f"{tmp_path / name}:/x:ro"))


def test_a_dangling_link_is_not_here(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").symlink_to(tmp_path / "gone")

    with pytest.raises(ConfigError, match="there is no"):
        look(Mounts(), mounting(make_config, f"{tmp_path / 'ca.crt'}:/x"))
