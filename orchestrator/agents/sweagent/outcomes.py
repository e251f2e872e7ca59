"""What SWE-agent's exit statuses mean to us. docs/agents.md has them as a table."""

from __future__ import annotations

import re

from orchestrator.errors import (
    AgentCrashed,
    EndpointUnavailable,
    InfraError,
    SandboxUnavailable,
)
from orchestrator.types import Outcome

OUTCOMES = {
    "submitted": Outcome.SUBMITTED,
    "exit_cost": Outcome.STEP_LIMIT,
    "exit_context": Outcome.CONTEXT_OVERFLOW,
    "exit_format": Outcome.FORMAT_ERRORS,
    "exit_command_timeout": Outcome.TIME_LIMIT,
    "exit_total_execution_time": Outcome.TIME_LIMIT,
    "exit_command": Outcome.GAVE_UP,
    "exit_forfeit": Outcome.GAVE_UP,
}
"""The agent's own doing. Where one of our limits ended it (exit_cost), that is the outcome."""
FAILURES: dict[str, type[InfraError]] = {
    "exit_api": EndpointUnavailable,
    "exit_environment_error": SandboxUnavailable,
    "exit_error": AgentCrashed,
}
"""The world's doing, or a crash: SWE-agent writes these down as results, and we do not."""
_AUTOSUBMITTED = re.compile(r"submitted \((\w+)\)")


def outcome_of(exit_status: str, limit: Outcome | None = None, detail: str = "") -> Outcome:
    """The outcome that an exit status stands for; `limit` is one of ours that was reached.

    Raises:
        InfraError: it stands for a failure. A status that is not known is a crash.
    """
    match = _AUTOSUBMITTED.fullmatch(exit_status)
    status = match.group(1) if match else exit_status
    if status == "exit_cost" and limit is not None:
        return limit
    if status in OUTCOMES:
        return OUTCOMES[status]
    failure = FAILURES.get(status, AgentCrashed)
    raise failure(f"SWE-agent ended with {exit_status or 'no exit status'}: {detail}".strip(": "))
