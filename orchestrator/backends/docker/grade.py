"""Grading by the official harness's own `run_instance`, in containers that we can find again."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker

from orchestrator.backends.base import GradeRequest, SandboxSpec
from orchestrator.backends.docker.bring import ensure_image
from orchestrator.backends.docker.engine import (
    ENGINE_ERRORS,
    connect_for_harness,
    error_words,
    labels,
    ran_out_of_memory,
)
from orchestrator.backends.docker.images import identity
from orchestrator.backends.docker.sandbox import bind_mounts, container_limits, stay
from orchestrator.backends.grading import grade_result, harness_spec
from orchestrator.dataset.harness import harness_module
from orchestrator.errors import (
    HarnessUnavailable,
    ImageUnavailable,
    InfraError,
    PrerequisiteError,
)
from orchestrator.paths import harness_model_name, working_folder
from orchestrator.types import FailureKind, GradeResult
from orchestrator.verdict import verdict

run_instance = harness_module("run_evaluation").run_instance
ENGINE_TIMEOUT_S = 1800


def grade_in_docker(request: GradeRequest) -> GradeResult:
    """One call of the harness, in a fresh folder: its cache, which does not look at the patch, has
    nothing to find there. The files that it wrote come back in the result."""
    started_at, started = time.time(), time.monotonic()
    phases_s: dict[str, float] = {}
    files: dict[str, bytes] = {}
    error: InfraError | None = None
    out_of_memory, image = False, ""
    instance, cluster = request.assignment.instance, request.assignment.config.cluster
    try:
        with contextlib.closing(connect_for_harness(ENGINE_TIMEOUT_S)) as client:
            ensure_image(client, instance, cluster.images, cluster.sandbox.platform)
            phases_s["image"] = time.monotonic() - started
            labelling = _LabellingClient(client, _container_settings(request))
            files = _run_harness(request, labelling)
            for image_id in labelling.containers.image_ids:
                image = identity(client, image_id, instance.image)
            out_of_memory = _lacks_verdict(request, files) and any(
                ran_out_of_memory(client, container_id, started_at)
                for container_id in labelling.containers.created
            )
            phases_s["harness"] = time.monotonic() - started - phases_s["image"]
    except PrerequisiteError as problem:
        error = ImageUnavailable(problem.what)
    except InfraError as problem:
        error = problem
    except ENGINE_ERRORS as problem:  # of the harness's own clean-up, say
        error = HarnessUnavailable(f"{instance.instance_id}: {error_words(problem)}")
    result = grade_result(request, started_at, files, phases_s, error, image)
    return _naming_memory(request, result) if out_of_memory else result


def _lacks_verdict(request: GradeRequest, files: Mapping[str, bytes]) -> bool:
    try:
        verdict(request.key.instance_id, files)
    except HarnessUnavailable:
        return True
    return False


def _naming_memory(request: GradeRequest, result: GradeResult) -> GradeResult:
    """A failure of tests that ran out of memory, in words that say what to raise."""
    failure = result.failure
    if failure is None or failure.kind is not FailureKind.HARNESS_UNAVAILABLE:
        return result
    memory_gb = request.assignment.config.cluster.grading.memory_gb
    detail = f"out of memory at {memory_gb:g} GB (cluster.grading.memory_gb): {failure.detail}"
    record = replace(result.record, failure=replace(failure, detail=detail))
    return replace(result, record=record)


def _run_harness(request: GradeRequest, client: _LabellingClient) -> dict[str, bytes]:
    config = request.assignment.config
    name = harness_model_name(config.model_name_or_path, config.run_id)
    run_dir = request.assignment.run_dir
    with working_folder(run_dir, "grade") as folder, contextlib.chdir(folder):
        # the harness prints its own errors; its log holds them too
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_instance(
                harness_spec(request),
                replace(request.prediction, model_name_or_path=name).as_dict(),
                client,
                config.run_id,
                timeout=request.assignment.tests_limit_s,
            )
        logs = sorted(Path("logs").rglob("*"))
        return {path.name: path.read_bytes() for path in logs if path.is_file()}


def _container_settings(request: GradeRequest) -> dict[str, Any]:
    """What our containers have on top of the harness's own settings."""
    spec = SandboxSpec.of_grade(request.assignment)
    return {
        "labels": labels(spec, "grade"),
        "platform": spec.platform,
        "network_mode": "bridge" if spec.network else "none",
        "use_config_proxy": spec.network,
        "mounts": bind_mounts(spec.mounts),
        "environment": dict(spec.env),
        "command": stay(spec.lifetime_s),  # the harness's own would idle for ever
        "stop_signal": "SIGKILL",  # it ignores SIGTERM, and `docker stop` would wait 15 s for it
        **container_limits(spec.memory_gb, spec.cpus, spec.pids),
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
        self.created: list[str] = []
        """Their ids."""
        self.image_ids: list[str] = []
        """Of what they were started from."""

    def create(self, **given: Any) -> Any:
        container = self._containers.create(**(given | self._settings))
        self.created.append(str(container.id))
        self.image_ids.append(str(container.attrs["Image"]))
        return container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._containers, name)
