"""The errors that people and journals see."""

from __future__ import annotations

import pytest

from orchestrator.errors import (
    ConfigError,
    InfraError,
    JournalError,
    PrerequisiteError,
    SandboxUnavailable,
)
from orchestrator.types import FailureKind


def test_every_failure_kind_is_raised_by_one_error() -> None:
    kinds = [error.kind for error in InfraError.__subclasses__()]

    assert sorted(kinds) == sorted(FailureKind)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ConfigError("wrong"), 2),
        (PrerequisiteError("missing"), 3),
        (JournalError("unreadable"), 3),
        *((error("broken"), 4) for error in InfraError.__subclasses__()),
    ],
)
def test_an_error_has_the_exit_code_of_its_kind(error: InfraError, exit_code: int) -> None:
    assert error.exit_code == exit_code


def test_what_is_missing_comes_with_its_cure() -> None:
    assert str(PrerequisiteError("No engine answers.", "Start it.")) == (
        "No engine answers. Start it."
    )
    assert str(PrerequisiteError("No engine answers.")) == "No engine answers."


@pytest.mark.parametrize("words", ["\ud83d", "a\0b", "\x1b[2J", "größer\nline"])
def test_whatever_an_error_quotes_its_failure_can_be_recorded(words: str) -> None:
    detail = SandboxUnavailable(words).failure.detail

    assert detail.encode("utf-8")
    assert "\0" not in detail
