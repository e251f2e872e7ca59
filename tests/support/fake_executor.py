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
    PulledImage,
    RolloutRecord,
    RolloutResult,
    patch_sha256,
)
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    PullBegins,
    RolloutRequest,
)


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
    evictions: list[EvictionRequest] = field(default_factory=list)
    pulls: dict[str, PulledImage] = field(default_factory=dict)
    """What is pulled first for an instance's rollout, or for its grade, as `ID grade`."""
    in_use: set[str] = field(default_factory=set)
    """Names of images that can't be evicted."""
    most_evictions: int = 0
    """At once."""
    _grading: list[GradeRequest] = field(default_factory=list)
    _evicting: list[EvictionRequest] = field(default_factory=list)

    def submit_rollout(self, request: RolloutRequest) -> None:
        self.rollout_requests.append(request)
        self._running.append(request)

    def submit_grade(self, request: GradeRequest) -> None:
        self.grade_requests.append(request)
        self._grading.append(request)

    def submit_eviction(self, request: EvictionRequest) -> None:
        self.evictions.append(request)
        self._evicting.append(request)
        self.most_evictions = max(self.most_evictions, len(self._evicting))

    def poll(self, timeout_s: float) -> list[Event]:
        evicting, self._evicting = self._evicting, []
        events: list[Event] = [
            Eviction(request.image, request.image.name not in self.in_use) for request in evicting
        ]
        for request in self._grading:
            events += [*self._pull(f"{request.key.instance_id} grade"), self._grade(request)]
        self._grading.clear()
        if not self.holding:
            for rollout in self._running:
                events += [*self._pull(rollout.key.instance_id), self._roll_out(rollout)]
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

    def _pull(self, key: str) -> list[Event]:
        return [PullBegins(self.pulls[key])] if key in self.pulls else []

    def _roll_out(self, request: RolloutRequest) -> RolloutResult:
        instance_id = request.key.instance_id
        script = self.script.get(instance_id, solves)
        return self.script.get((instance_id, request.key.attempt), script)(request)

    def _grade(self, request: GradeRequest) -> GradeResult:
        return self.grades.get(request.key.instance_id, resolves)(request)
