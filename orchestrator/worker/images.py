"""Images on the worker's host: what the driver decided is done here, and never raises."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from orchestrator.backends import Assignment, Backend, find_backend
from orchestrator.backends.images import PullStep
from orchestrator.errors import ConfigError, InternalError, OrchestratorError, one_line
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem
from orchestrator.worker.failures import summary_of, unforeseen
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    ImageEvent,
    ImageRequest,
    ImagesSeen,
    LookRequest,
    PullEnded,
    PullProgress,
    PullRequest,
    QuotaFound,
    QuotaRequest,
    RoomFound,
    RoomRequest,
)

PROGRESS_EVERY_S = 1.0


def is_gone(backend: Backend, assignment: Assignment) -> bool:
    """Whether an image is not here any more that the driver has seen here.

    Raises:
        SandboxUnavailable: no engine answers.
    """
    cluster = assignment.config.cluster
    return assignment.image_is_here and backend.needs_pull(assignment.instance, cluster)


def do_image_work(
    request: ImageRequest, clock: Callable[[], float] = time.monotonic
) -> Iterator[ImageEvent]:
    """Pull, evict, measure or ask; the last value is what came of it. Never raises."""
    try:
        backend = find_backend(request.backend)
        match request:
            case PullRequest():
                yield from _pull(backend, request, clock)
            case EvictionRequest():
                yield Eviction(request.image, backend.evict_image(request.image.name))
            case RoomRequest():
                yield RoomFound(request.node, backend.free_for_images_gb(request.cluster))
            case QuotaRequest():
                quota = backend.pull_quota(request.registry)
                yield QuotaFound(request.node, request.registry, quota)
            case LookRequest():
                missing = backend.missing_images(request.instances, request.platform)
                yield ImagesSeen(request.node, frozenset(missing))
    except ConfigError as error:  # the backend is not installed on this node
        yield nothing_came_of(request, PullProblem.REFUSED, str(error))
    except OrchestratorError as error:
        yield nothing_came_of(request, PullProblem.ENGINE, str(error))
    except Exception as error:  # noqa: BLE001 - the boundary of the worker, and of others' backends
        # a bug is not to be tried again for ever: who uses the image goes on, and has it on record
        is_bug = isinstance(unforeseen(error)[0], InternalError)
        problem = PullProblem.REFUSED if is_bug else PullProblem.ENGINE
        yield nothing_came_of(request, problem, summary_of(error))


def nothing_came_of(request: ImageRequest, problem: PullProblem, detail: str) -> ImageEvent:
    """What is said of a request that was not done, whatever hindered it."""
    match request:
        case PullRequest():
            return PullEnded(request.image, PullFailure(problem, one_line(detail)))
        case EvictionRequest():
            return Eviction(request.image, gone=False)
        case RoomRequest():
            return RoomFound(request.node, None)
        case QuotaRequest():
            return QuotaFound(request.node, request.registry, None)
        case LookRequest():
            return ImagesSeen(request.node, None)


def _pull(
    backend: Backend, request: PullRequest, clock: Callable[[], float]
) -> Iterator[PullProgress | PullEnded]:
    """How far it is, once a second at most, and how it ended."""
    was_there = not backend.needs_pull(request.instance, request.cluster)
    step, told_at = PullStep(), clock()
    try:
        for step in backend.pull_image(request.image.name, request.cluster):
            if clock() - told_at >= PROGRESS_EVERY_S:
                told_at = clock()
                yield PullProgress(request.image, step.compressed)
    except PullFailed as error:
        yield PullEnded(request.image, error.failure)
        return
    yield PullEnded(request.image, expanded=step.expanded, digest=step.digest, was_there=was_there)
