"""An engine that runs nothing: every request ends as the script says, at the next poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.driver.engine import Event
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeResult,
    Outcome,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.grade import GradeRequest
from orchestrator.worker.rollout import RolloutRequest


def solves(request: RolloutRequest) -> RolloutResult:
    """A submitted patch that names its instance."""
    key = request.instance.instance_id
    return RolloutResult(key, request.attempt, outcome=Outcome.SUBMITTED, patch=f"diff of {key}\n")


def resolves(request: GradeRequest) -> GradeResult:
    return GradeResult(
        request.instance.instance_id,
        request.attempt,
        patch_sha256(request.patch),
        resolved=True,
        reason=GradeReason.TESTS,
        files={"report.json": b"{}"},
    )


def fails(kind: FailureKind) -> Callable[[RolloutRequest], RolloutResult]:
    """The script of a rollout that ends in a failure, every time."""
    return lambda request: RolloutResult(
        request.instance.instance_id, request.attempt, failure=Failure(kind, "scripted")
    )


@dataclass
class FakeEngine:
    """Implements `driver.base.Engine`.

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
    _grading: list[GradeRequest] = field(default_factory=list)

    def submit_rollout(self, request: RolloutRequest) -> None:
        self.rollout_requests.append(request)
        self._running.append(request)

    def submit_grade(self, request: GradeRequest) -> None:
        self.grade_requests.append(request)
        self._grading.append(request)

    def poll(self, timeout_s: float) -> list[Event]:
        events: list[Event] = [self._grade(request) for request in self._grading]
        self._grading.clear()
        if not self.holding:
            events += [self._roll_out(request) for request in self._running]
            self._running.clear()
        if not events:
            time.sleep(min(timeout_s, 0.002))
        return events

    def stop_now(self) -> None:
        self.stopped += 1
        self.holding = False
        interrupted = Failure(FailureKind.INTERRUPTED, "stopped by hand")
        for request in self._running:
            self.script[request.instance.instance_id, request.attempt] = lambda r: RolloutResult(
                r.instance.instance_id, r.attempt, failure=interrupted, partial_patch="half\n"
            )

    def close(self) -> None:
        self.closed = True

    def _roll_out(self, request: RolloutRequest) -> RolloutResult:
        key = request.instance.instance_id
        return self.script.get((key, request.attempt), self.script.get(key, solves))(request)

    def _grade(self, request: GradeRequest) -> GradeResult:
        return self.grades.get(request.instance.instance_id, resolves)(request)
