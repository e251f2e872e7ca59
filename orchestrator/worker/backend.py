"""The backend of an assignment."""

from __future__ import annotations

from orchestrator.backends import Assignment, Backend, find_backend
from orchestrator.errors import ConfigError, SandboxUnavailable


def backend_of(assignment: Assignment) -> Backend:
    """Raises SandboxUnavailable where this node can't import it: it may not be installed here."""
    try:
        return find_backend(assignment.backend)
    except ConfigError as error:
        raise SandboxUnavailable(str(error)) from error
