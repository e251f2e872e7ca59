"""What can go wrong, and what the process says about it when it exits.

    OrchestratorError
    ├── ConfigError             wrong usage or configuration          exit 2
    ├── PrerequisiteError       something is missing; carries the cure exit 3
    ├── JournalError            the run's record can't be read or written exit 3
    └── InfraError              the world failed, not the agent; becomes a recorded failure
        ├── EndpointUnavailable   the model server did not answer
        ├── RequestRefused        it answered, and refuses what it is asked (HTTP 4xx)
        ├── SandboxUnavailable    the sandbox could not start, or went away
        ├── SandboxBroken         it is there, another beside it works, and it does not
        ├── ImageUnavailable      the image could not be pulled or built
        ├── WorkerLost            the process running the rollout or grade died
        ├── SharedWorkerLost      the process died in which others ran too
        ├── HarnessUnavailable    the official harness reached no verdict
        ├── TestsTooSlow          emulated tests ran too long, and the gold patch did no better
        ├── AgentCrashed          the agent's own code raised
        ├── Interrupted           a person said stop
        └── InternalError         our own code raised: a bug of this program

An `InfraError` is never a verdict: `FailureKind` names it in the journal and `resume` redoes it.
"""

from __future__ import annotations

from typing import ClassVar

from orchestrator.text import writable
from orchestrator.types import Failure, FailureKind

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_PREREQUISITE = 3
EXIT_FAILURES_LEFT = 4
EXIT_INTERRUPTED = 130


def one_line(words: object, limit: int = 300) -> str:
    """An error's words, or any others, without line breaks and at most `limit` characters."""
    return " ".join(str(words).split())[:limit]


class OrchestratorError(Exception):
    """Base of all that a person is told in one line, without a traceback."""

    exit_code: ClassVar[int] = 1


class ConfigError(OrchestratorError, ValueError):
    """The request or a profile is wrong: what, where, and how to mend it."""

    exit_code = EXIT_USAGE


class PrerequisiteError(OrchestratorError, RuntimeError):
    """Something that the run needs is missing. `cure` is the command or step that mends it."""

    exit_code = EXIT_PREREQUISITE

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(f"{what} {cure}".strip())
        self.what = what
        self.cure = cure


class JournalError(OrchestratorError, RuntimeError):
    """The journal can't be read or written; nothing was changed."""

    exit_code = EXIT_PREREQUISITE


class InfraError(OrchestratorError, RuntimeError):
    """The world's doing. `kind` is the name under which the failure is recorded."""

    kind: ClassVar[FailureKind]
    exit_code = EXIT_FAILURES_LEFT

    @property
    def failure(self) -> Failure:
        """The error as it is recorded."""
        return Failure(self.kind, writable(str(self)))


class EndpointUnavailable(InfraError, ConnectionError):
    kind = FailureKind.ENDPOINT_UNAVAILABLE


class RequestRefused(InfraError):
    kind = FailureKind.REQUEST_REFUSED


class SandboxUnavailable(InfraError):
    kind = FailureKind.SANDBOX_UNAVAILABLE


class SandboxBroken(InfraError):
    kind = FailureKind.SANDBOX_BROKEN


class ImageUnavailable(InfraError):
    kind = FailureKind.IMAGE_UNAVAILABLE


class WorkerLost(InfraError):
    kind = FailureKind.WORKER_LOST


class SharedWorkerLost(InfraError):
    kind = FailureKind.SHARED_WORKER_LOST


class HarnessUnavailable(InfraError):
    kind = FailureKind.HARNESS_UNAVAILABLE


class TestsTooSlow(InfraError):
    kind = FailureKind.TESTS_TOO_SLOW


class AgentCrashed(InfraError):
    kind = FailureKind.AGENT_CRASHED


class Interrupted(InfraError):
    kind = FailureKind.INTERRUPTED


class InternalError(InfraError):
    kind = FailureKind.INTERNAL_ERROR
