"""The shipped profiles, benchmarks without a profile, and run.yaml's way there and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from orchestrator.config import (
    RunConfig,
    RunRequest,
    dump_run_config,
    list_profiles,
    load_config,
    load_run_config,
)
from orchestrator.errors import ConfigError
from orchestrator.paths import write_atomic

SHIPPED = {k: list(list_profiles(k)) for k in ("benchmarks", "models", "agents", "clusters")}


def test_profiles_of_every_kind_are_shipped() -> None:
    assert {"demo", "lite", "lite-dev", "verified", "full"} <= set(SHIPPED["benchmarks"])
    assert {"mini", "gold", "nop"} <= set(SHIPPED["agents"])
    assert {"scripted", "qwen3.5-35b", "gemma-4-26b"} <= set(SHIPPED["models"])
    assert {"local", "mac-mini"} <= set(SHIPPED["clusters"])


@pytest.mark.parametrize("benchmark", SHIPPED["benchmarks"])
def test_a_shipped_benchmark_goes_with_every_shipped_agent_and_cluster(benchmark: str) -> None:
    for agent, cluster in product(SHIPPED["agents"], SHIPPED["clusters"]):
        config = load_config(RunRequest(benchmark, "scripted", agent, cluster))

        names = (config.benchmark.name, config.agent.name, config.cluster.name)
        assert names == (benchmark, agent, cluster)


@pytest.mark.parametrize("model", SHIPPED["models"])
def test_a_shipped_model_goes_with_every_shipped_benchmark(model: str) -> None:
    for benchmark in SHIPPED["benchmarks"]:
        config = load_config(RunRequest(benchmark, model, "mini"))

        assert config.model is not None
        assert config.model.name == model
        assert config.model_name_or_path == f"{model}__mini"


def test_the_demo_keeps_its_small_limits() -> None:
    config = load_config(RunRequest("demo"))

    assert config.rollout.max_steps == 30
    assert config.scripted


@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        ("mini", {}),
        ("gold", {}),
        ("mini", {"rollout.retries": {"worker_lost": 7}, "selection.instances": ["a", "b"]}),
        ("mini", {"cluster.sandbox.env": {"A": "größer"}, "cluster.workers": 3}),
        ("mini", {"model.request_fields": {"chat_template_kwargs": {"a.b": [None, 1.5]}}}),
    ],
)
def test_run_yaml_is_read_as_it_was_written(
    tmp_path: Path,
    make_config: Callable[..., RunConfig],
    agent: str,
    settings: dict[str, object],
) -> None:
    config = make_config(agent, settings)
    write_atomic(tmp_path / "run.yaml", dump_run_config(config))

    assert load_run_config(tmp_path / "run.yaml") == config


def test_a_folder_without_run_yaml_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run"):
        load_run_config(tmp_path / "run.yaml")


@pytest.mark.parametrize("data", [b"a: [1", b"", b"- a", b"run_id: x\n", b"\xff\xfe\x00"])
def test_a_broken_run_yaml_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "run.yaml").write_bytes(data)

    with pytest.raises(ConfigError) as caught:
        load_run_config(tmp_path / "run.yaml")

    assert "run.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_id_is_a_benchmark_without_a_profile() -> None:
    config = load_config(RunRequest("some-org/Their_Bench", agent="gold"))

    assert config.benchmark.source == "some-org/Their_Bench"
    assert config.benchmark.name == "Their_Bench"


def test_a_file_is_a_benchmark_without_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "my rows.jsonl"
    path.touch()

    config = load_config(RunRequest(str(path), agent="gold"))

    assert config.benchmark.source == str(path)
    assert config.benchmark.name == "my-rows"


def test_the_folder_that_one_stands_in_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-repo").mkdir()
    monkeypatch.chdir(tmp_path / "my-repo")

    assert load_config(RunRequest(".", agent="gold")).benchmark.name == "my-repo"


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(RunRequest("/nowhere/rows.parquet", agent="gold"))
