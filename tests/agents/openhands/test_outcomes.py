from __future__ import annotations

import pytest

from orchestrator.agents.openhands.outcomes import outcome_of
from orchestrator.errors import AgentCrashed
from orchestrator.types import Outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("finished", Outcome.SUBMITTED),
        ("format_errors", Outcome.FORMAT_ERRORS),
        ("stuck_in_errors", Outcome.FORMAT_ERRORS),
        ("stuck", Outcome.STEP_LIMIT),
        ("overflow", Outcome.CONTEXT_OVERFLOW),
    ],
)
def test_how_a_conversation_ended_is_an_outcome(status: str, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


@pytest.mark.parametrize("limit", [Outcome.STEP_LIMIT, Outcome.TOKEN_LIMIT, Outcome.TIME_LIMIT])
def test_a_limit_of_ours_is_the_outcome(limit: Outcome) -> None:
    assert outcome_of("limit", limit) is limit


@pytest.mark.parametrize("status", ["error", "paused", "waiting_for_confirmation", "limit", ""])
def test_an_end_that_is_not_known_is_a_crash(status: str) -> None:
    with pytest.raises(AgentCrashed, match=f"ended as '{status}'"):
        outcome_of(status)
