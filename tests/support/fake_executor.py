"""An executor that runs nothing: every request ends as the script says, at the next poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.backends import GradeRequest
from orchestrator.driver.executor import Event, NodeSlots
from orchestrator.images.pulls import PullProblem
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    Outcome,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.images import nothing_came_of
from orchestrator.worker.messages import ImageEvent, ImageGone, ImageRequest, RolloutRequest
from support.fake_images import FakeImages


def solves(request: RolloutRequest) -> RolloutResult:
    """A submitted patch that names its instance."""
    return ends(request, Outcome.SUBMITTED, f"diff of {request.key.instance_id}\n")


def ends(request: RolloutRequest, outcome: Outcome, patch: str = "") -> RolloutResult:
    return RolloutResult(RolloutRecord(request.key, outcome=outcome), patch)


def resolves(request: GradeRequest) -> GradeResult:
    digest = patch_sha256(request.patch)
    record = GradeRecord(request.key, digest, resolved=True, reason=GradeReason.TESTS)
    return GradeResult(record, files={"report.json": b"{}"})


def fails(kind: FailureKind) -> Callable[[RolloutRequest], RolloutResult]:
    """The script of a rollout that ends in a failure, every time."""
    failure = Failure(kind, "scripted")
    return lambda request: RolloutResult(RolloutRecord(request.key, failure=failure))


@dataclass
class FakeExecutor:
    """Implements `driver.executor.Executor`.

    `script` maps an instance id, or (instance id, attempt), to what its rollout comes to; all
    others solve. `holding` keeps rollouts running until it is taken back, or until `stop_now`.
    """

    script: dict[str | tuple[str, int], Callable[[RolloutRequest], RolloutResult]] = field(
        default_factory=dict
    )
    grades: dict[str, Callable[[GradeRequest], GradeResult]] = field(default_factory=dict)
    holding: bool = False
    rollout_requests: list[RolloutRequest] = field(default_factory=list)
    grade_requests: list[GradeRequest] = field(default_factory=list)
    stopped: int = 0
    closed: bool = False
    _running: list[RolloutRequest] = field(default_factory=list)
    images: dict[str, FakeImages] = field(default_factory=lambda: {"": FakeImages()})
    """By node; a node without one is gone."""
    gone: set[RolloutKey] = field(default_factory=set)
    """Rollouts and grades that find their image gone, once."""
    _grading: list[GradeRequest] = field(default_factory=list)
    _image_events: list[ImageEvent] = field(default_factory=list)

    def nodes(self) -> tuple[NodeSlots, ...]:
        return tuple(NodeSlots(name, 2, 1) for name in self.images)

    def submit_rollout(self, request: RolloutRequest) -> None:
        self.rollout_requests.append(request)
        self._running.append(request)

    def submit_grade(self, request: GradeRequest) -> None:
        self.grade_requests.append(request)
        self._grading.append(request)

    def submit_image_work(self, request: ImageRequest) -> None:
        images = self.images.get(request.node)
        gone = nothing_came_of(request, PullProblem.ENGINE, "a worker died")
        self._image_events += images.do(request) if images else [gone]

    def poll(self, timeout_s: float) -> list[Event]:
        events: list[Event] = [*self._image_events]
        self._image_events.clear()
        for images in self.images.values():
            events += images.go_on()
        for request in self._grading:
            events.append(self._ended(request, self._grade))
        self._grading.clear()
        if not self.holding:
            for rollout in self._running:
                events.append(self._ended(rollout, self._roll_out))
            self._running.clear()
        if not events:
            time.sleep(min(timeout_s, 0.002))
        return events

    def stop_now(self) -> None:
        self.stopped += 1
        self.holding = False
        interrupted = Failure(FailureKind.INTERRUPTED, "stopped by hand")
        for request in self._running:
            self.script[request.key.instance_id, request.key.attempt] = lambda r: RolloutResult(
                RolloutRecord(r.key, failure=interrupted), partial_patch="half\n"
            )

    def close(self) -> None:
        self.closed = True

    def _ended(self, request: Any, end: Callable[[Any], Event]) -> Event:
        if request.key in self.gone:
            self.gone.discard(request.key)
            return ImageGone(request.key)
        return end(request)

    def _roll_out(self, request: RolloutRequest) -> RolloutResult:
        instance_id = request.key.instance_id
        script = self.script.get(instance_id, solves)
        return self.script.get((instance_id, request.key.attempt), script)(request)

    def _grade(self, request: GradeRequest) -> GradeResult:
        return self.grades.get(request.key.instance_id, resolves)(request)
