"""What of a run may change on the way, and what starts another run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.changes import FREE, change
from orchestrator.config.load import flatten
from orchestrator.errors import ConfigError

URL = "http://gpu:8000/v1"


@pytest.fixture
def config(make_config: Callable[..., RunConfig]) -> RunConfig:
    return make_config("mini", {"model.endpoint.base_url": URL})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cluster.workers", 8),
        ("cluster.grading.slots", 3),
        ("cluster.gateway.host", "10.0.0.1"),
        ("cluster.images.keep", False),
        ("cluster.images.mirror", "spark:5000"),
        ("cluster.images.tag", "{instance}"),
        ("cluster.grading.memory_gb", 16.0),
        ("cluster.min_free_disk_gb", 20.0),
        ("model.endpoint.base_url", "http://gpu2:8000/v1"),
        ("model.endpoint.replicas", ["http://gpu2:8000/v1"]),
        ("model.endpoint.max_outage_s", 61.5),
        ("model.endpoint.admission", "auto"),
        ("model.max_concurrency", 2),
        ("rollout.show_steps", True),
        ("rollout.retries.worker_lost", 9),
        ("benchmark.dataset_dir", "/data"),
    ],
)
def test_what_no_result_depends_on_can_be_changed(config: RunConfig, key: str, value: Any) -> None:
    before = flatten(config.model_dump(mode="json"))

    changed, (made,) = change(config, {key: value})

    assert (made.key, made.before, made.after) == (key, before[key], value)
    assert flatten(changed.model_dump(mode="json")) == before | {key: value}
    assert change(changed, {key: value}) == (changed, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rollout.max_steps", 5),
        ("rollout.time_limit_s", 5),
        ("rollout.command_timeout_s", 5),
        ("cluster.grading.timeout_s", 5),
        ("cluster.sandbox.memory_gb", 5),
        ("cluster.sandbox.network", True),
        ("cluster.sandbox.kind", "process"),
        ("cluster.images.base", "debian"),
        ("model.served_name", "other"),
        ("model.name", "other"),
        ("model.sampling.temperature", 0.5),
        ("model.request_fields", {"top_k": 1}),
        ("model.reasoning", "strip"),
        ("model.context_length", 5),
        ("model.personas.default", "swallowed"),
        ("model.endpoint.base_url", "scripted"),
        ("agent.name", "other"),
        ("benchmark.source", "other"),
        ("benchmark.split", "dev"),
        ("selection.slice", "0:1"),
        ("run_id", "other"),
        ("runs_dir", "other"),
    ],
)
def test_what_results_depend_on_is_refused_with_what_the_run_has(
    config: RunConfig, key: str, value: Any
) -> None:
    with pytest.raises(ConfigError, match="start a new run") as caught:
        change(config, {"cluster.workers": 2, key: value})

    assert f"--set {key}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("cluster.worker", 2, "did you mean 'workers'"),
        ("cluster.workers", 0, "must be 1 or more"),
        ("cluster.workers.x", 0, "--set cluster.workers.x"),
        ("model.endpoint.base_url", "gpu", "no URL"),
        ("rollout.retries.bad_luck", 1, "retries"),
        ("cluster", None, "cluster"),
        ("", 1, ""),
    ],
)
def test_a_key_or_value_that_is_none_is_refused_as_at_launch(
    config: RunConfig, key: str, value: Any, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        change(config, {key: value})

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_said_again_is_no_change(config: RunConfig) -> None:
    same = {"rollout.max_steps": config.rollout.max_steps, "agent.kind": "mini"}

    assert change(config, same) == (config, [])


def test_every_free_key_is_one_that_a_run_has(config: RunConfig) -> None:
    known = flatten(config.model_dump(mode="json"))

    for free in FREE:
        assert any(key == free or key.startswith(f"{free}.") for key in known), free


KNOWN = sorted(
    flatten(load_config(RunRequest("demo", agent="mini", run_id="r")).model_dump(mode="json"))
)
VALUES = st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=5)


@pytest.mark.fuzz
@given(st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=20), VALUES, max_size=3))
def test_nothing_but_free_keys_ever_changes(settings: dict[str, Any]) -> None:
    config = load_config(RunRequest("demo", agent="mini", run_id="r"))
    try:
        changed, _ = change(config, settings)
    except ConfigError:
        return
    before, after = (flatten(c.model_dump(mode="json")) for c in (config, changed))
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            assert any(key == free or key.startswith(f"{free}.") for free in FREE)
