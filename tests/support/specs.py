"""What sandboxes, rollouts and grades are started from in tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents import load_agent_kind
from orchestrator.backends import Assignment, GradeRequest, Host, SandboxSpec
from orchestrator.config import RunConfig
from orchestrator.types import GradeResult, Instance, RolloutKey, SealedAnswer
from orchestrator.worker.grade import grade
from orchestrator.worker.messages import RolloutRequest

DRIVER_HOST = "test-suite"
"""Not this host's name: a run that starts beside the tests would remove their containers."""
STRANGER = "support.strangers_backend:FolderBackend"
KINDS = ["process", pytest.param("docker", marks=pytest.mark.docker), STRANGER]
"""Every backend that the contract suites are held against."""
CONTAINERS, PROCESSES = Host("docker", 8.0, 2), Host("process", 8.0, 2, isolates=False)
EMULATED = Host("docker", 8.0, 2, engine_name="OrbStack", architecture="linux/arm64")
"""Hosts for what only asks what a host offers."""


def sandbox_spec(instance: Instance, run_dir: Path, **settings: Any) -> SandboxSpec:
    given: dict[str, Any] = {
        "key": RolloutKey(f"test-{os.getpid()}", instance.instance_id, 1),
        "run_dir": str(run_dir),
        "driver_host": DRIVER_HOST,
        "image": instance.image,
        "task_dir": instance.task_dir,
        "base_commit": instance.base_commit,
        "platform": "linux/amd64",
        "memory_gb": 2,
        "cpus": 1,
        "pids": 256,
        "network": False,
        "lifetime_s": 300,
    }
    return SandboxSpec(**(given | settings))


def make_assignment(
    config: RunConfig,
    instance: Instance,
    kind: str,
    run_dir: Path,
    *,
    attempt: int = 1,
    sealed_answer: SealedAnswer | None = None,
) -> Assignment:
    key = RolloutKey(config.run_id, instance.instance_id, attempt)
    return Assignment(config, instance, key, kind, str(run_dir), DRIVER_HOST, sealed_answer)


def rollout_request(
    config: RunConfig,
    instance: Instance,
    kind: str,
    run_dir: Path,
    *,
    attempt: int = 1,
    **more: Any,
) -> RolloutRequest:
    """By the configuration's agent; `more` says where its model is."""
    assert config.agent is not None
    assignment = make_assignment(config, instance, kind, run_dir, attempt=attempt)
    return RolloutRequest(assignment, agent=load_agent_kind(config.agent, {}), **more)


def graded_by_worker(request: GradeRequest) -> GradeResult:
    """What a worker says of a grade at last."""
    *_, result = grade(request)
    assert isinstance(result, GradeResult)
    return result
