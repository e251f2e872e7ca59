"""Which kind of sandbox a run gets: the one asked for, or the first that may be taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.specs import STRANGER

from orchestrator.backends import Host, choose_host, find_backend
from orchestrator.backends.docker.backend import DockerBackend
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.errors import ConfigError, PrerequisiteError

MakeConfig = Callable[..., RunConfig]


def config_of(make_config: MakeConfig, kind: str, source: str | None = None) -> RunConfig:
    config = make_config("nop", {"cluster.sandbox.kind": kind})
    if source is None:
        return config
    benchmark = config.benchmark.model_copy(update={"source": source})
    return config.model_copy(update={"benchmark": benchmark})


def test_an_unknown_kind_of_sandbox_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'vm'; known: docker, process, or package.module:Class"):
        find_backend("vm")


@pytest.mark.parametrize("kind", ["vm", "a.b", "a:", ":B", "a b:C", ""])
def test_a_configuration_with_no_such_kind_is_refused_in_one_line(
    kind: str, make_config: MakeConfig
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config("nop", {"cluster.sandbox.kind": kind})

    said = str(caught.value)
    assert "cluster.sandbox.kind" in said
    assert "must be one of auto, docker, process, or package.module:Class" in said
    assert "\n" not in said


def test_a_bundled_benchmark_does_without_an_engine(
    make_config: MakeConfig, demo: Dataset, no_engine: None
) -> None:
    host = choose_host(config_of(make_config, "auto"), demo.instances)

    assert (host.kind, host.isolates) == ("process", False)


def refuses(host: Host) -> None:
    raise ConfigError(f"agent 'a' can't work in {host.kind} sandboxes")


def test_an_engine_that_is_not_started_is_said_to_who_has_an_agent_that_needs_one(
    make_config: MakeConfig, demo: Dataset, no_engine: None
) -> None:
    with pytest.raises(PrerequisiteError, match="no Docker engine answers") as caught:
        choose_host(config_of(make_config, "auto"), demo.instances, refuses)

    assert "tart" in caught.value.cure, "how it is started"


def test_docker_that_is_not_on_path_is_said_to_who_has_an_agent_that_needs_it(
    make_config: MakeConfig, demo: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Client:
        info = close = dict
        api = SimpleNamespace(api_version="1.41")

    for name in ("bash", "git", "patch"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setattr("orchestrator.backends.docker.backend.connect", lambda *_: Client())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    with pytest.raises(PrerequisiteError, match="docker is not on PATH") as caught:
        choose_host(config_of(make_config, "auto"), demo.instances, refuses)
    assert "PATH" in caught.value.cure

    host = choose_host(config_of(make_config, "auto"), demo.instances, lambda host: None)
    assert host.kind == "process"


def test_an_agent_that_an_engine_does_not_suit_is_told_so_by_its_own_check(
    make_config: MakeConfig, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a sandbox that isolates less."""
    engine = Host("docker", 8.0, 2)
    monkeypatch.setattr(DockerBackend, "host", lambda *_: engine)

    assert choose_host(config_of(make_config, "auto"), demo.instances, refuses) is engine


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOCKER_HOST", "tcp://127.0.0.1:9"),
        ("DOCKER_HOST", "ssh://somewhere"),
        ("DOCKER_HOST", "no address at all"),
        ("DOCKER_CONTEXT", "misspelt"),
    ],
)
def test_nothing_takes_the_place_of_an_engine_that_a_person_has_named(
    name: str,
    value: str,
    make_config: MakeConfig,
    demo: Dataset,
    no_engine: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(PrerequisiteError, match=name) as caught:
        choose_host(config_of(make_config, "auto"), demo.instances)

    assert f"Without {name}" in caught.value.cure
    assert choose_host(config_of(make_config, "process"), demo.instances).kind == "process"


def test_what_isolates_nothing_is_not_taken_for_others_benchmarks(
    make_config: MakeConfig, demo: Dataset, no_engine: None
) -> None:
    with pytest.raises(PrerequisiteError, match="no Docker engine answers"):
        choose_host(config_of(make_config, "auto", "some/where"), demo.instances)


def test_what_isolates_nothing_is_taken_where_it_is_asked_for_by_name(
    make_config: MakeConfig, demo: Dataset
) -> None:
    for kind in ("process", STRANGER):
        host = choose_host(config_of(make_config, kind, "some/where"), demo.instances)

        assert (host.kind, host.isolates) == (kind, False)


def test_a_missing_engine_that_was_asked_for_is_reported(
    make_config: MakeConfig, demo: Dataset, no_engine: None
) -> None:
    with pytest.raises(PrerequisiteError, match="no Docker engine answers"):
        choose_host(config_of(make_config, "docker"), demo.instances)


def test_instances_that_come_from_images_can_not_have_process_sandboxes(
    make_config: MakeConfig, demo: Dataset
) -> None:
    from_image = replace(demo.instances[0], task_dir=None)

    with pytest.raises(ConfigError, match=rf"{from_image.instance_id} can't run in a process"):
        choose_host(config_of(make_config, "process"), [*demo.instances, from_image])


def test_a_missing_tool_is_reported(
    make_config: MakeConfig, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(PrerequisiteError, match="bash, git, patch is not on PATH"):
        choose_host(config_of(make_config, "process"), demo.instances)


@pytest.mark.docker
def test_an_engine_that_is_there_is_taken_first(make_config: MakeConfig, demo: Dataset) -> None:
    host = choose_host(config_of(make_config, "auto"), demo.instances)

    assert (host.kind, host.isolates) == ("docker", True)
    assert host.engine_version


def test_a_class_that_is_no_backend_is_told_in_one_line() -> None:
    with pytest.raises(
        ConfigError, match=r"kind 'json:JSONDecoder' is no backend: it has no .*start"
    ):
        find_backend("json:JSONDecoder")
