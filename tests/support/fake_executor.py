"""An executor that runs nothing: every request ends as the script says, at the next poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.backends import GradeRequest
from orchestrator.driver.executor import Event
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    GradeResult,
    Outcome,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.messages import RolloutRequest


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
            self.script[request.key.instance_id, request.key.attempt] = lambda r: RolloutResult(
                RolloutRecord(r.key, failure=interrupted), partial_patch="half\n"
            )

    def close(self) -> None:
        self.closed = True

    def _roll_out(self, request: RolloutRequest) -> RolloutResult:
        instance_id = request.key.instance_id
        script = self.script.get(instance_id, solves)
        return self.script.get((instance_id, request.key.attempt), script)(request)

    def _grade(self, request: GradeRequest) -> GradeResult:
        return self.grades.get(request.key.instance_id, resolves)(request)
