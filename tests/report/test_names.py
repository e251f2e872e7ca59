from __future__ import annotations

import pytest

from orchestrator.evidence.facts import Cause
from orchestrator.report.names import (
    CAUSE_WORDS,
    FAILURE_WORDS,
    OUTCOME_WORDS,
    REASON_WORDS,
    STYLES,
    Mark,
    named,
)
from orchestrator.types import FailureKind, GradeReason, Outcome


@pytest.mark.parametrize(
    ("identifiers", "words"),
    [
        (Outcome, OUTCOME_WORDS),
        (FailureKind, FAILURE_WORDS),
        (GradeReason, REASON_WORDS),
        (Cause, CAUSE_WORDS),
        (Mark, STYLES),
    ],
)
def test_everything_that_an_instance_can_come_to_has_words(
    identifiers: type[Outcome], words: dict[str, str]
) -> None:
    assert set(words) >= set(identifiers)
    assert len({*words.values()}) == len(words), "no two of them read alike"


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("step_limit", "out of steps (step_limit)"),
        ("submitted", "submitted"),
        ("gave_up", "gave up"),
        ("not_started", "not started"),
        ("endpoint_unavailable", "the model's server was away (endpoint_unavailable)"),
        ("looped", "went in circles (looped)"),
        ("patch_does_not_apply", "its patch does not apply (patch_does_not_apply)"),
    ],
)
def test_words_stand_beside_their_identifier_and_are_not_said_twice(
    identifier: str, expected: str
) -> None:
    assert named(identifier) == expected


def test_what_has_no_words_is_not_made_up() -> None:
    with pytest.raises(KeyError):
        named("tired")
