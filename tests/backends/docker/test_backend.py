"""What is particular to Docker as a backend: its registry, and an engine that is away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.registries import Asked, FakeServer, Reply
from support.specs import make_assignment

from orchestrator.backends import GradeRequest, find_backend
from orchestrator.config import RunConfig
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.dataset import Dataset
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.types import FailureKind, Instance

DOCKER = find_backend("docker")


def test_without_an_engine_nothing_is_known_of_images(no_engine: None, demo: Dataset) -> None:
    for ask in (DOCKER.missing_images, DOCKER.image_ids):
        with pytest.raises(PrerequisiteError, match="no Docker engine answers"):
            ask(demo.instances, "linux/amd64")


def test_without_an_engine_no_image_comes_and_none_goes(
    no_engine: None, instance: Instance
) -> None:
    with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
        DOCKER.bring_image(instance, Cluster(name="c"))
    with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
        DOCKER.needs_pull(replace(instance, task_dir=None), Cluster(name="c"))
    assert DOCKER.evict_image(instance.image) is False


def test_without_an_engine_nothing_can_be_cleaned(no_engine: None, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError):
        list(DOCKER.find_run_dirs(tmp_path))
    with pytest.raises(PrerequisiteError):
        DOCKER.clean(tmp_path)


def test_without_an_engine_a_grade_is_a_failure(
    no_engine: None, demo_config: RunConfig, demo: Dataset, instance: Instance, tmp_path: Path
) -> None:
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(demo_config, instance, "docker", tmp_path, sealed_answer=answer)

    result = DOCKER.grade(GradeRequest(assignment, "a patch"))

    assert result.resolved is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.IMAGE_UNAVAILABLE


@pytest.mark.parametrize("version", ["1.18", "1.40"])
def test_an_engine_of_long_ago_is_told_to_be_old_and_not_to_be_away(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/info"):
            return Reply(body={"ServerVersion": "19.03.5", "OperatingSystem": "CentOS"})
        return Reply(body={"ApiVersion": version, "Version": "19.03.5"})

    with FakeServer(answer) as engine:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{engine.place}")
        with pytest.raises(
            PrerequisiteError, match=r"Docker's API, and sandboxes need 1\.41"
        ) as old:
            DOCKER.host(SandboxSettings(kind="docker"))

    assert old.value.cure.startswith("Update it.")
    assert "no Docker engine answers" not in str(old.value)
