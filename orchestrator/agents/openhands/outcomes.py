"""What the ends of OpenHands' conversations mean to us. docs/agents.md has them as a table."""

from __future__ import annotations

from orchestrator.errors import AgentCrashed
from orchestrator.types import Outcome

OUTCOMES = {
    "finished": Outcome.SUBMITTED,
    "format_errors": Outcome.FORMAT_ERRORS,
    "stuck_in_errors": Outcome.FORMAT_ERRORS,
    "stuck": Outcome.STEP_LIMIT,
    "overflow": Outcome.CONTEXT_OVERFLOW,
}
"""Status, as the runner says it. Where one of our limits ended it (limit), that is the outcome."""


def outcome_of(status: str, limit: Outcome | None = None) -> Outcome:
    """The outcome that a status stands for; `limit` is one of ours that was reached.

    Raises:
        AgentCrashed: it stands for none.
    """
    if status == "limit" and limit is not None:
        return limit
    if status in OUTCOMES:
        return OUTCOMES[status]
    raise AgentCrashed(f"OpenHands' conversation ended as {status!r}")
