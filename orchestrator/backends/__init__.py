"""Sandboxes behind one protocol; a backend is found by its kind, and imported then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.backends.base import (
    Assignment,
    Backend,
    ExecResult,
    GradeRequest,
    Sandbox,
    SandboxSpec,
    Stream,
)
from orchestrator.backends.host import Host, NamedEngineAway, Place
from orchestrator.backends.images import KeepsImages
from orchestrator.config.schema import RunConfig
from orchestrator.config.sections import AUTO
from orchestrator.errors import ConfigError, OrchestratorError, PrerequisiteError
from orchestrator.plugins import BACKENDS, find_class
from orchestrator.types import Instance

__all__ = [
    "Assignment",
    "Backend",
    "ExecResult",
    "GradeRequest",
    "Host",
    "Place",
    "Sandbox",
    "SandboxSpec",
    "Stream",
    "choose_host",
    "find_backend",
]


MEMBERS = sorted(
    name
    for name in (*vars(Backend), *Backend.__annotations__, *vars(KeepsImages))
    if not name.startswith("_")
)
"""What every backend has."""


def find_backend(kind: str) -> Backend:
    """The backend that a known name, or `package.module:Class`, stands for. Raises ConfigError."""
    found = find_class(BACKENDS, kind)
    missing = [name for name in MEMBERS if not hasattr(found, name)]
    if missing:
        raise ConfigError(f"kind {kind!r} is no backend: it has no {', '.join(missing)}")
    backend: Backend = found()
    return backend


def choose_host(
    config: RunConfig, instances: Sequence[Instance], suits: Callable[[Host], None] | None = None
) -> Host:
    """The host of the sandboxes that were asked for.

    `auto` takes the first kind that is there. One that isolates nothing is taken for a bundled
    benchmark only, and where the agent can work there (`suits` raises ConfigError or
    PrerequisiteError where it can't): everybody else asks for it by name. Where a person has named
    an engine, nothing else is taken.

    Raises:
        PrerequisiteError: what they need is missing; of several kinds, what the first one needs.
        ConfigError: there is no such kind, or these instances can't have it.
    """
    if config.cluster.sandbox.kind != AUTO:
        return _host_of_kind(config, config.cluster.sandbox.kind, instances)
    problems: list[OrchestratorError] = []
    for kind in BACKENDS:
        if not find_backend(kind).isolates and not config.benchmark.is_bundled:
            continue
        try:
            host = _host_of_kind(config, kind, instances)
            if problems and suits is not None:
                suits(host)
            return host
        except NamedEngineAway:
            raise
        except (PrerequisiteError, ConfigError) as error:
            problems.append(error)
    raise problems[0]


def _host_of_kind(config: RunConfig, kind: str, instances: Sequence[Instance]) -> Host:
    backend = find_backend(kind)
    backend.require_runnable(instances)
    return backend.host(config.cluster.sandbox.model_copy(update={"kind": kind}))
