"""What each way in which SWE-agent 1.1.0 can end means to us."""

from __future__ import annotations

import pytest

from orchestrator.agents.sweagent.outcomes import outcome_of
from orchestrator.errors import InfraError
from orchestrator.types import FailureKind, Outcome

OUTCOMES = {
    "submitted": Outcome.SUBMITTED,
    "exit_command": Outcome.GAVE_UP,
    "exit_forfeit": Outcome.GAVE_UP,
    "exit_format": Outcome.FORMAT_ERRORS,
    "exit_context": Outcome.CONTEXT_OVERFLOW,
    "exit_cost": Outcome.STEP_LIMIT,
    "exit_command_timeout": Outcome.TIME_LIMIT,
    "exit_total_execution_time": Outcome.TIME_LIMIT,
}
FAILURES = {
    "exit_api": FailureKind.ENDPOINT_UNAVAILABLE,
    "exit_environment_error": FailureKind.SANDBOX_UNAVAILABLE,
    "exit_error": FailureKind.AGENT_CRASHED,
}
LIMITS = [Outcome.STEP_LIMIT, Outcome.TOKEN_LIMIT, Outcome.TIME_LIMIT]
FORMS = ["{}", "submitted ({})"]
"""Where SWE-agent submits all the same, the status stands in brackets."""


def failure_of(status: str, limit: Outcome | None = None, detail: str = "") -> InfraError:
    with pytest.raises(InfraError) as caught:
        outcome_of(status, limit, detail)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("status", "outcome"), OUTCOMES.items())
def test_what_the_agent_did_is_an_outcome(status: str, outcome: Outcome, form: str) -> None:
    assert outcome_of(form.format(status)) is outcome


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("status", "kind"), FAILURES.items())
def test_what_the_world_did_is_a_failure_though_sweagent_has_submitted(
    status: str, kind: FailureKind, form: str
) -> None:
    error = failure_of(form.format(status), detail="what it said")

    assert error.kind is kind
    assert str(error) == f"SWE-agent ended with {form.format(status)}: what it said"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_of_ours_ends_sweagent_as_its_own_would_and_is_the_outcome(
    limit: Outcome, form: str
) -> None:
    assert outcome_of(form.format("exit_cost"), limit) is limit


@pytest.mark.parametrize("status", sorted(OUTCOMES.keys() - {"exit_cost"}))
def test_a_limit_is_not_the_outcome_of_a_rollout_that_ended_otherwise(status: str) -> None:
    assert outcome_of(status, Outcome.TOKEN_LIMIT) is OUTCOMES[status]


@pytest.mark.parametrize("status", FAILURES)
def test_a_limit_does_not_hide_a_failure(status: str) -> None:
    assert failure_of(status, Outcome.TOKEN_LIMIT).kind is FAILURES[status]


@pytest.mark.parametrize(
    "status",
    [
        *("exit_new", "Submitted", "submitted ()", "submitted (exit_new)"),
        *("submitted (exit_cost) (exit_cost)", "submitted (submitted) ", "skipped (submitted)"),
    ],
)
def test_an_unknown_status_is_a_crash_that_names_it(status: str) -> None:
    error = failure_of(status, Outcome.STEP_LIMIT, "what it said")

    assert error.kind is FailureKind.AGENT_CRASHED
    assert str(error) == f"SWE-agent ended with {status}: what it said"


def test_an_end_without_a_status_is_a_crash() -> None:
    error = failure_of("")

    assert error.kind is FailureKind.AGENT_CRASHED
    assert str(error) == "SWE-agent ended with no exit status"
