"""What the loop needs of an executor, and what an executor reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orchestrator.backends import GradeRequest
from orchestrator.types import GradeResult, RolloutResult
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    Progress,
    PullBegins,
    RolloutRequest,
)


@dataclass(frozen=True)
class Remark:
    """Something that a person should know, in one line."""

    text: str


@dataclass(frozen=True)
class ModelStatus:
    """How the model serves just now, in one line."""

    text: str


@dataclass(frozen=True)
class Notice:
    """Why nothing starts just now, for as long as that is so; without text all is well."""

    text: str = ""
    about: str = ""
    """What a log has one line about, however often the text changes; empty where remarks tell."""


Event = Progress | RolloutResult | GradeResult | PullBegins | Eviction | Remark | ModelStatus


class Executor(Protocol):
    """Runs rollouts, grades and evictions somewhere. Whatever is submitted ends in exactly one
    result."""

    def submit_rollout(self, request: RolloutRequest) -> None: ...

    def submit_grade(self, request: GradeRequest) -> None: ...

    def submit_eviction(self, request: EvictionRequest) -> None:
        """Where the host is in no cluster any more, nothing is gone."""
        ...

    def poll(self, timeout_s: float) -> list[Event]:
        """What happened; waits up to `timeout_s` for something. A worker that died is a result
        with the failure worker_lost."""
        ...

    def stop_now(self) -> None:
        """Ask what runs to harvest and end; its results still come through `poll`."""
        ...

    def close(self) -> None:
        """Let go of the workers, also of busy ones."""
        ...
