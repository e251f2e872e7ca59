"""What of a person's Ray settings reaches a Ray of this driver's own. No Ray is started."""

from __future__ import annotations

import os

import pytest
from ray._private import ray_constants
from ray._private.worker import _maybe_modify_runtime_env

from orchestrator.driver.ray_connection import _as_a_local_ray_wants_it

ASKS_FOR_AN_ENVIRONMENT = ["RAY_RUNTIME_ENV_HOOK", "RAY_JOB_CONFIG_JSON_ENV_VAR"]


@pytest.mark.parametrize("name", ASKS_FOR_AN_ENVIRONMENT)
def test_a_ray_of_ones_own_is_asked_for_no_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would make it: a job of another cluster, in which this one runs, says so."""
    monkeypatch.setenv(name, "somebody.elses.hook")

    with _as_a_local_ray_wants_it():
        assert name not in os.environ
        assert _maybe_modify_runtime_env(None, False) is None
    assert os.environ[name] == "somebody.elses.hook"


def test_under_uv_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ray._private.runtime_env.uv_runtime_env_hook._get_uv_run_cmdline",
        lambda: ["uv", "run", "orchestrator"],
    )
    before = ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV

    with _as_a_local_ray_wants_it():
        assert _maybe_modify_runtime_env(None, False) is None
    assert ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV is before
