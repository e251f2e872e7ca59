"""Grading by the official harness's own `run_instance`, in containers that we can find again."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
from swebench.harness.run_evaluation import run_instance

from orchestrator.backends.base import GradeRequest, SandboxSpec
from orchestrator.backends.docker.engine import ENGINE_ERRORS, connect_for_harness, labels
from orchestrator.backends.docker.images import ensure_image, evict_image
from orchestrator.backends.grading import grade_result, harness_spec
from orchestrator.errors import (
    HarnessUnavailable,
    ImageUnavailable,
    InfraError,
    PrerequisiteError,
    one_line,
)
from orchestrator.paths import harness_model_name
from orchestrator.types import GradeResult

ENGINE_TIMEOUT_S = 1800


def grade_in_docker(request: GradeRequest) -> GradeResult:
    """One call of the harness, in a fresh folder: its cache, which does not look at the patch, has
    nothing to find there. The files that it wrote come back in the result."""
    started_at, started = time.time(), time.monotonic()
    phases_s: dict[str, float] = {}
    files: dict[str, bytes] = {}
    error: InfraError | None = None
    instance, cluster = request.assignment.instance, request.assignment.config.cluster
    try:
        with contextlib.closing(connect_for_harness(ENGINE_TIMEOUT_S)) as client:
            ensure_image(client, instance, cluster.images, cluster.sandbox.platform)
            phases_s["image"] = time.monotonic() - started
            files = _run_harness(request, client)
            phases_s["harness"] = time.monotonic() - started - phases_s["image"]
            if request.evict_image:
                evict_image(client, instance.image)
    except PrerequisiteError as problem:
        error = ImageUnavailable(problem.what)
    except InfraError as problem:
        error = problem
    except ENGINE_ERRORS as problem:  # of the harness's own clean-up, say
        error = HarnessUnavailable(f"{instance.instance_id}: {one_line(problem)}")
    return grade_result(request, started_at, files, phases_s, error)


def _run_harness(request: GradeRequest, client: docker.DockerClient) -> dict[str, bytes]:
    config = request.assignment.config
    name = harness_model_name(config.model_name_or_path, config.run_id)
    with tempfile.TemporaryDirectory(prefix="grade-") as folder, contextlib.chdir(folder):
        # the harness prints its own errors; its log holds them too
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_instance(
                harness_spec(request),
                replace(request.prediction, model_name_or_path=name).as_dict(),
                _LabellingClient(client, _container_settings(request)),
                config.run_id,
                timeout=config.cluster.grading.timeout_s,
            )
        logs = sorted(Path("logs").rglob("*"))
        return {path.name: path.read_bytes() for path in logs if path.is_file()}


def _container_settings(request: GradeRequest) -> dict[str, Any]:
    """What our containers have on top of the harness's own settings."""
    cluster = request.assignment.config.cluster
    memory = int(cluster.grading.memory_gb * 1e9)
    return {
        "labels": labels(SandboxSpec.of(request.assignment), "grade"),
        "platform": cluster.sandbox.platform,
        "network_mode": "bridge" if cluster.grading.network else "none",
        "use_config_proxy": cluster.grading.network,
        "mem_limit": memory,
        "memswap_limit": memory,
        "volumes": list(cluster.sandbox.mounts),
        "environment": dict(cluster.sandbox.env),
        # the harness's idle command ignores SIGTERM, and `docker stop` would wait 15 s for it
        "stop_signal": "SIGKILL",
    }


class _LabellingClient:
    """A Docker client that adds settings to every container that is created through it."""

    def __init__(self, client: docker.DockerClient, settings: dict[str, Any]) -> None:
        self._client = client
        self.containers = _Containers(client.containers, settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class _Containers:
    def __init__(self, containers: Any, settings: dict[str, Any]) -> None:
        self._containers = containers
        self._settings = settings

    def create(self, **given: Any) -> Any:
        return self._containers.create(**(given | self._settings))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._containers, name)
