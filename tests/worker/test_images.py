"""A pull is told before it begins, by rollouts and grades alike; evictions never raise."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from support.specs import make_assignment, rollout_request

from orchestrator.backends import Backend, GradeRequest, find_backend
from orchestrator.config import RunConfig
from orchestrator.types import Instance, PulledImage
from orchestrator.worker.grade import grade
from orchestrator.worker.images import evict
from orchestrator.worker.messages import Eviction, EvictionRequest, Progress, PullBegins
from orchestrator.worker.rollout import roll_out


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Every image is to be pulled there."""
    found = find_backend("process")
    monkeypatch.setattr(found, "needs_pull", lambda *_: True, raising=False)
    for module in ("images", "rollout", "grade"):
        monkeypatch.setattr(f"orchestrator.worker.{module}.backend_of", lambda _: found)
    return found


def test_a_rollout_says_that_it_pulls_before_it_does(
    backend: Backend, demo_config: RunConfig, instance: Instance, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    brought: list[str] = []
    monkeypatch.setattr(backend, "bring_image", lambda i, _: brought.append(i.image), raising=False)
    events = roll_out(rollout_request(demo_config, instance, "process", tmp_path))

    assert isinstance(next(events), Progress)
    assert next(events) == PullBegins(PulledImage(instance.image))
    assert brought == []
    next(events)
    assert brought == [instance.image]
    events.close()  # type: ignore[attr-defined]


def test_a_grade_says_so_too_and_on_which_node_of_a_cluster(
    backend: Backend, demo_config: RunConfig, instance: Instance, tmp_path: Path
) -> None:
    cluster = demo_config.cluster.model_copy(update={"ray_address": "head:6379"})
    config = demo_config.model_copy(update={"cluster": cluster})
    gone = replace(instance, task_dir=str(tmp_path / "gone"))
    events = grade(GradeRequest(make_assignment(config, gone, "process", tmp_path), "a patch"))

    assert next(events) == PullBegins(PulledImage(instance.image, socket.gethostname()))


@pytest.mark.parametrize("kind", ["process", "no.such.module:Backend", "json:JSONDecoder"])
def test_an_image_that_a_backend_does_not_have_is_not_said_to_be_gone(kind: str) -> None:
    image = PulledImage("an/image", "a-node")

    assert evict(EvictionRequest(image, kind)) == Eviction(image, gone=False)
