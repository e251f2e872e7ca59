"""The nouns of the project, as frozen values. Imports nothing of ours.

instance -> rollout -> prediction -> grade -> run; the durable key of everything that a run
records is (run_id, instance_id, attempt).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, NewType

SealedAnswer = NewType("SealedAnswer", object)
"""A `gold_answers.GoldAnswer` that its carrier passes on unopened."""


@dataclass(frozen=True, order=True)
class RolloutKey:
    """The durable key of all that a run records: one attempt at one instance in one run."""

    run_id: str
    instance_id: str
    attempt: int

    def __post_init__(self) -> None:
        assert self.attempt > 0, "attempts count from 1"

    @property
    def next_attempt(self) -> RolloutKey:
        return RolloutKey(self.run_id, self.instance_id, self.attempt + 1)


class Outcome(StrEnum):
    """How a rollout ended by the agent's own doing. Every one of them counts as a result."""

    SUBMITTED = "submitted"
    STEP_LIMIT = "step_limit"
    TOKEN_LIMIT = "token_limit"
    TIME_LIMIT = "time_limit"
    CONTEXT_OVERFLOW = "context_overflow"
    FORMAT_ERRORS = "format_errors"
    GAVE_UP = "gave_up"


class FailureKind(StrEnum):
    """How a rollout or grade ended by the world's doing. Never a verdict, always redone."""

    ENDPOINT_UNAVAILABLE = "endpoint_unavailable"
    REQUEST_REFUSED = "request_refused"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    SANDBOX_BROKEN = "sandbox_broken"
    """It runs no commands any more after what was done in it, while another beside it does."""
    IMAGE_UNAVAILABLE = "image_unavailable"
    WORKER_LOST = "worker_lost"
    SHARED_WORKER_LOST = "shared_worker_lost"
    """The process died in which others ran too: whose doing that was, nobody knows."""
    HARNESS_UNAVAILABLE = "harness_unavailable"
    TESTS_TOO_SLOW = "tests_too_slow"
    """The tests ran past their limit where processors are emulated, and the gold patch did no
    better there."""
    AGENT_CRASHED = "agent_crashed"
    INTERRUPTED = "interrupted"
    INTERNAL_ERROR = "internal_error"
    """Our own code raised: a bug of this program, and nobody's host is to blame."""


@dataclass(frozen=True)
class Instance:
    """What an agent may know of one benchmark row. The rest is in `orchestrator.gold_answers`."""

    instance_id: str
    repo: str
    base_commit: str
    problem_statement: str
    image: str
    version: str = ""
    task_dir: str | None = None
    """Folder of the official task repo that holds this instance, where it came from one."""


@dataclass(frozen=True)
class Usage:
    """What a rollout took: tokens as the server counted them, durations in seconds."""

    steps: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_s: float = 0.0
    held_s: float = 0.0
    """Time spent waiting for a server that was away; counts against no limit."""


class RequestResult(StrEnum):
    """How one request of an agent to its model ended."""

    ANSWERED = "answered"
    SWALLOWED = "swallowed"
    """An answer of reasoning alone: no content, no tool call."""
    CONTEXT_OVERFLOW = "context_overflow"
    REFUSED = "refused"
    """HTTP 4xx for another reason."""
    FAILED = "failed"
    """The server stayed away too long, or failed at this request time and again."""
    ABANDONED = "abandoned"
    """The agent hung up."""

    @property
    def is_answer(self) -> bool:
        """Whether a server's answer came to its end."""
        return self in (RequestResult.ANSWERED, RequestResult.SWALLOWED)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request of a rollout to its model, retries included. Durations in seconds."""

    key: RolloutKey
    result: RequestResult
    server: str
    """Base URL of the server that had the last word; empty where none had."""
    status: int
    """HTTP status that the agent got; 0 where it hung up before."""
    started_at: float
    """Seconds since the epoch."""
    total_s: float
    queue_s: float = 0.0
    """Waited in the gateway while a server was up."""
    held_s: float = 0.0
    """Waited, or lost, because servers were away."""
    first_token_s: float | None = None
    """From the last attempt's start; known of streamed answers only."""
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    """Prompt tokens that the server found in its cache; None where it does not say."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def served_s(self) -> float:
        """From the moment that a server could take it."""
        return self.total_s - self.held_s - self.queue_s


@dataclass(frozen=True)
class Failure:
    kind: FailureKind
    detail: str


def patch_sha256(patch: str) -> str:
    return hashlib.sha256(patch.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Future:
    """What a sandbox held, as it was found, of its repository's future."""

    found: Mapping[str, int]
    """How many, by kind, such as {"commits": 3, "refs": 1}."""
    names: tuple[str, ...] = ()
    """A few of them; never what is in them."""
    dropped: bool = False
    """Whether the agent did not get to see it."""

    HARMLESS: ClassVar[frozenset[str]] = frozenset({"remotes"})
    """Addresses alone: noted, and left."""

    @property
    def is_leak(self) -> bool:
        return not self.found.keys() <= self.HARMLESS

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in self.found.items())
        return f"{counts}: {', '.join(self.names)}" if self.names else counts


@dataclass(frozen=True)
class CallCounts:
    """How the calls of functions came out that a model was asked for.

    A call counts once, and so does an answer that calls none where functions were offered.
    """

    calls: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    """Broken calls, by `CallProblem`: they do not fit what was offered, or never came."""
    details: Mapping[str, int] = field(default_factory=dict)
    """The same calls by what was wrong, such as {"bash lacks command": 3}: the first MAX_DETAILS
    different ones."""

    MAX_DETAILS: ClassVar[int] = 20
    """Models make up names without end."""

    @property
    def broken(self) -> int:
        return sum(self.problems.values())

    def with_call(self, problem: str | None, detail: str = "") -> CallCounts:
        """The same and one call more; `problem` is None where it is well formed."""
        counted = replace(self, calls=self.calls + 1)
        return counted if problem is None else counted.with_fault(problem, detail)

    def with_fault(self, problem: str, detail: str = "") -> CallCounts:
        """The same, where a call that is counted as well formed turned out to be broken."""
        problems, details = Counter(self.problems), Counter(self.details)
        problems[str(problem)] += 1
        if detail and (detail in details or len(details) < self.MAX_DETAILS):
            details[detail] += 1
        return replace(self, problems=dict(problems), details=dict(details))


@dataclass(frozen=True)
class RolloutRecord:
    """What is recorded of one rollout: its row in the journal. An outcome or a failure, never both.

    A failure carries no patch. Times are seconds since the epoch.
    """

    key: RolloutKey
    outcome: Outcome | None = None
    failure: Failure | None = None
    salvaged: bool = False
    """The agent had changed something and did not submit it."""
    patch_sha256: str = patch_sha256("")
    patch_bytes: int = 0
    usage: Usage = field(default_factory=Usage)
    started_at: float = 0.0
    ended_at: float = 0.0
    phases_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase: image, sandbox, agent, harvest, remove."""
    notes: tuple[str, ...] = ()
    image: str = ""
    """Digest of the image that its sandbox was started from, or its id where it has none; empty
    where there was no image."""
    future: Future | None = None
    """What the sandbox held of its repository's future; None: nothing, or nobody looked."""
    calls: CallCounts | None = None
    """None: the agent offered no functions, or nobody counted."""
    unusable_answers: int = 0
    """Recorded steps whose answer held no action that could be used."""

    def __post_init__(self) -> None:
        assert (self.outcome is None) != (self.failure is None), "an outcome or a failure"
        assert self.failure is None or not self.has_patch, "a failure carries no patch"

    @property
    def instance_id(self) -> str:
        return self.key.instance_id

    @property
    def has_patch(self) -> bool:
        return self.patch_bytes > 0

    def with_patch(self, patch: str) -> RolloutRecord:
        """The same with this patch's digest and size."""
        return replace(
            self, patch_sha256=patch_sha256(patch), patch_bytes=len(patch.encode("utf-8"))
        )


@dataclass(frozen=True)
class RolloutResult:
    """What a worker sends when a rollout has ended: its record, and what goes into files.

    The record's digest and size of the patch are filled in from `patch`. `partial_patch` may hold
    what an interrupted agent had changed so far; it is kept for people to look at and is never
    graded.
    """

    record: RolloutRecord
    patch: str = ""
    partial_patch: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What goes into the rollout's folder beside the patch: trajectories and logs, by file name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", self.record.with_patch(self.patch))

    @property
    def key(self) -> RolloutKey:
        return self.record.key

    @property
    def outcome(self) -> Outcome | None:
        return self.record.outcome

    @property
    def failure(self) -> Failure | None:
        return self.record.failure


@dataclass(frozen=True, order=True)
class PulledImage:
    """An image that a run has pulled onto a host, or has begun to pull."""

    name: str
    node: str = ""
    """The host's name in a Ray cluster; empty: the run's only host."""


@dataclass(frozen=True)
class Prediction:
    """The official three keys."""

    instance_id: str
    model_name_or_path: str
    model_patch: str

    def as_dict(self) -> dict[str, str]:
        return {
            "instance_id": self.instance_id,
            "model_name_or_path": self.model_name_or_path,
            "model_patch": self.model_patch,
        }


class GradeReason(StrEnum):
    """What a verdict rests on."""

    TESTS = "tests"
    PATCH_DOES_NOT_APPLY = "patch_does_not_apply"
    TESTS_TIMED_OUT = "tests_timed_out"
    NO_TEST_RESULTS = "no_test_results"


@dataclass(frozen=True)
class GradeRecord:
    """What is recorded of one grade: the official harness's verdict on a patch, or the failure
    that kept it from one. Times are seconds since the epoch."""

    key: RolloutKey
    """Of the rollout that the patch is from."""
    patch_sha256: str
    resolved: bool | None = None
    reason: GradeReason | None = None
    failure: Failure | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    phases_s: Mapping[str, float] = field(default_factory=dict)
    image: str = ""
    """As in `RolloutRecord`."""

    def __post_init__(self) -> None:
        assert (self.resolved is None) != (self.failure is None), "a verdict or a failure"

    @property
    def instance_id(self) -> str:
        return self.key.instance_id


class Choice(StrEnum):
    """What a person may decide about an instance that no harness reaches a verdict on."""

    UNRESOLVED = "unresolved"
    """Count it as unresolved, and redo it no more."""
    AGAIN = "again"
    """Redo it, however often it has failed; takes an earlier decision back."""


@dataclass(frozen=True)
class Decision:
    """What is recorded of a person's decision. It is never a verdict of the harness."""

    instance_id: str
    choice: Choice
    because: str
    by: str
    """The person's name at the system."""
    at: float
    """Seconds since the epoch."""
    patch_sha256: str
    """Of the patch that lay there; empty where there was no outcome. Another patch is another
    matter."""
    failures: int
    """How many failures it had then: they count no more towards `MAX_FAILURES`."""


@dataclass(frozen=True)
class GradeResult:
    """What a worker sends when a grade has ended: its record, and what goes into files."""

    record: GradeRecord
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The harness's own log files of this instance, by file name."""

    @property
    def key(self) -> RolloutKey:
        return self.record.key

    @property
    def resolved(self) -> bool | None:
        return self.record.resolved

    @property
    def failure(self) -> Failure | None:
        return self.record.failure
