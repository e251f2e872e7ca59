"""How what the harness left becomes a grade, or the failure that kept us from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.specs import make_assignment

from orchestrator.backends import GradeRequest, SandboxSpec
from orchestrator.backends.base import ExecResult
from orchestrator.backends.grading import grade_in_sandbox, grade_result
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import FailureKind, patch_sha256
from orchestrator.verdict import REPORT


@pytest.fixture
def request_(demo: Dataset, demo_config: RunConfig) -> GradeRequest:
    instance = demo.instances[0]
    answer = demo.answers[instance.instance_id]
    nowhere = Path("/nowhere")
    assignment = make_assignment(
        demo_config, instance, "process", nowhere, attempt=3, sealed_answer=answer
    )
    return GradeRequest(assignment, "a patch")


def test_a_grade_names_the_patch_that_it_is_on(request_: GradeRequest) -> None:
    key = request_.assignment.key.instance_id
    seen = {REPORT: json.dumps({key: {"resolved": True}}).encode()}

    result = grade_result(request_, 1.0, seen, {})

    assert (result.key.instance_id, result.key.attempt, result.resolved) == (key, 3, True)
    assert result.record.patch_sha256 == patch_sha256("a patch")
    assert result.files == seen


def test_an_error_of_the_world_is_a_failure_even_beside_a_report(request_: GradeRequest) -> None:
    seen = {REPORT: json.dumps({request_.assignment.key.instance_id: {"resolved": True}}).encode()}

    result = grade_result(request_, 1.0, seen, {}, SandboxUnavailable("gone"))

    assert result.resolved is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE


def test_the_sandbox_of_a_grade_has_the_limits_of_grades(
    make_config: Callable[..., RunConfig], demo: Dataset
) -> None:
    settings = {"memory_gb": 16, "cpus": 3, "pids": 77, "timeout_s": 60, "network": False}
    given = {f"cluster.grading.{key}": value for key, value in settings.items()}

    spec = SandboxSpec.of_grade(
        make_assignment(make_config("gold", given), demo.instances[0], "process", Path("/nowhere"))
    )

    assert (spec.memory_gb, spec.cpus, spec.pids, spec.network) == (16, 3, 77, False)
    assert spec.lifetime_s > 60


def test_the_sandbox_of_an_emulated_grade_outlives_its_longer_limit(
    make_config: Callable[..., RunConfig], demo: Dataset
) -> None:
    config = make_config("gold", {"cluster.grading.emulated_timeout_s": 20_000})
    assignment = make_assignment(config, demo.instances[0], "process", Path("/nowhere"))

    assert SandboxSpec.of_grade(replace(assignment, emulated=True)).lifetime_s > 20_000
    assert SandboxSpec.of_grade(assignment).lifetime_s < 20_000


def test_a_grade_has_all_of_the_hosts_cpus_as_the_harness_gives_them(
    demo_config: RunConfig, demo: Dataset
) -> None:
    """With fewer, tests may run into their time limit, which is a verdict."""
    assignment = make_assignment(demo_config, demo.instances[0], "process", Path("/nowhere"))

    assert SandboxSpec.of_grade(assignment).cpus == 0


class Hangs:
    """A sandbox in which a command takes too long."""

    image = ""

    def __init__(self, command: str) -> None:
        self._command = command

    def __enter__(self) -> Hangs:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write_file(self, path: str, data: bytes) -> None: ...

    def patience(self, seconds: float) -> float:
        return seconds

    def exec(self, command: str, timeout_s: float, **_: Any) -> ExecResult:
        hangs = command.startswith(self._command)
        return ExecResult(b"", 137 if hangs else 1, timed_out=hangs)


@pytest.mark.parametrize("command", ["git apply --verbose ../patch.diff", "git checkout", "patch "])
def test_a_patch_whose_applying_hangs_has_no_verdict(request_: GradeRequest, command: str) -> None:
    """A busy or emulated host takes long; that it does not apply is another matter."""
    hanging: Any = Hangs(command)

    result = grade_in_sandbox(request_, lambda spec: hanging)

    assert result.failure is not None, result.record
    assert result.failure.kind is FailureKind.HARNESS_UNAVAILABLE
    assert f"`{command}" in result.failure.detail
    assert "took over 60 s" in result.failure.detail
