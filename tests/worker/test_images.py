"""Images on a worker: pulls say how far they are, whatever is asked has an answer, and an image
that has gone is said to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.specs import make_assignment, rollout_request

from orchestrator.backends import Backend, GradeRequest, find_backend
from orchestrator.backends.images import PullStep
from orchestrator.config import RunConfig
from orchestrator.config.cluster import Cluster
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem
from orchestrator.types import Instance, PulledImage
from orchestrator.worker.grade import grade
from orchestrator.worker.images import do_image_work
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    ImageEvent,
    ImageGone,
    ImageRequest,
    ImagesSeen,
    LookRequest,
    Progress,
    PullEnded,
    PullProgress,
    PullRequest,
    QuotaFound,
    QuotaRequest,
    RoomFound,
    RoomRequest,
)
from orchestrator.worker.rollout import roll_out

CLUSTER = Cluster(name="c")
IMAGE = PulledImage("an/image", "a-node")
GIBBERISH = ["no.such.module:Backend", "json:JSONDecoder"]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Every image is to be pulled there."""
    found = find_backend("process")
    monkeypatch.setattr(found, "needs_pull", lambda *_: True, raising=False)
    monkeypatch.setattr("orchestrator.worker.images.find_backend", lambda _: found)
    for module in ("rollout", "grade"):
        monkeypatch.setattr(f"orchestrator.worker.{module}.backend_of", lambda _: found)
    return found


def pull_request(instance: Instance, kind: str = "process") -> PullRequest:
    return PullRequest(IMAGE, instance, kind, CLUSTER)


def pulls(backend: Backend, monkeypatch: pytest.MonkeyPatch, *steps: PullStep | Exception) -> None:
    def pull(*_: object) -> Iterator[PullStep]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step

    monkeypatch.setattr(backend, "pull_image", pull, raising=False)


def test_a_pull_says_how_far_it_is_once_a_second_at_most(
    backend: Backend, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [PullStep(compressed=number) for number in range(100)]
    pulls(backend, monkeypatch, *steps, PullStep(100, 280, "sha256:d"))
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += 0.02
        return now

    *progress, end = do_image_work(pull_request(instance), tick)

    assert end == PullEnded(IMAGE, expanded=280, digest="sha256:d")
    assert 1 <= len(progress) <= 3
    assert all(isinstance(event, PullProgress) and event.compressed for event in progress)


def test_an_image_that_is_there_already_is_somebody_elses(
    backend: Backend, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "needs_pull", lambda *_: False)
    pulls(backend, monkeypatch, PullStep(0, 280))

    assert list(do_image_work(pull_request(instance))) == [
        PullEnded(IMAGE, expanded=280, was_there=True)
    ]


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        (PullFailed(PullFailure(PullProblem.QUOTA, "later", 60.0)), PullProblem.QUOTA),
        (PrerequisiteError("no engine.", "Start it."), PullProblem.ENGINE),
        (SandboxUnavailable("it hangs"), PullProblem.ENGINE),
        (MemoryError(), PullProblem.ENGINE),
        (OSError(28, "no space left"), PullProblem.ENGINE),
        (KeyError("a bug"), PullProblem.REFUSED),
    ],
)
def test_a_pull_that_fails_says_so_and_only_a_bug_is_not_tried_again(
    backend: Backend,
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    problem: PullProblem,
) -> None:
    pulls(backend, monkeypatch, PullStep(1), raised)
    (end,) = do_image_work(pull_request(instance))

    assert isinstance(end, PullEnded)
    assert end.failure is not None
    assert end.failure.problem is problem
    assert end.failure.detail
    assert "\n" not in end.failure.detail


@pytest.mark.parametrize("kind", ["process", *GIBBERISH])
def test_whatever_is_asked_of_a_backend_that_has_no_images_or_is_none_has_an_answer(
    kind: str, instance: Instance
) -> None:
    missing = frozenset[str]() if kind == "process" else None
    asked: list[tuple[ImageRequest, ImageEvent]] = [
        (EvictionRequest(IMAGE, kind), Eviction(IMAGE, gone=False)),
        (RoomRequest("a-node", kind, CLUSTER), RoomFound("a-node", None)),
        (QuotaRequest("a-node", "hub", kind), QuotaFound("a-node", "hub", None)),
        (LookRequest("a-node", kind, "p", (instance,)), ImagesSeen("a-node", missing)),
    ]
    for request, answer in asked:
        assert list(do_image_work(request)) == [answer]
    (end,) = do_image_work(pull_request(instance, kind))
    assert isinstance(end, PullEnded)
    assert (end.failure is None) is (kind == "process")


def test_a_rollout_whose_image_is_gone_says_so_and_tries_nothing(
    backend: Backend, demo_config: RunConfig, instance: Instance, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(backend, "bring_image", lambda *_: pytest.fail("pulled"), raising=False)
    request = rollout_request(demo_config, instance, "process", tmp_path)
    here = replace(request.assignment, image_is_here=True)
    events = list(roll_out(replace(request, assignment=here)))

    assert isinstance(events[0], Progress)
    assert events[1:] == [ImageGone(request.key)]


def test_a_rollout_that_is_let_through_brings_its_image_itself(
    backend: Backend, demo_config: RunConfig, instance: Instance, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    brought: list[str] = []
    monkeypatch.setattr(backend, "bring_image", lambda i, _: brought.append(i.image), raising=False)
    events = roll_out(rollout_request(demo_config, instance, "process", tmp_path))
    next(events)
    next(events)

    assert brought == [instance.image]
    events.close()  # type: ignore[attr-defined]


def test_a_grade_whose_image_is_gone_says_so(
    backend: Backend, demo_config: RunConfig, instance: Instance, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    graded: Callable[..., Any] = lambda *_: pytest.fail("graded")  # noqa: E731
    monkeypatch.setattr(backend, "grade", graded, raising=False)
    assignment = make_assignment(demo_config, instance, "process", tmp_path)
    request = GradeRequest(replace(assignment, image_is_here=True), "a patch")

    assert list(grade(request)) == [ImageGone(request.key)]
