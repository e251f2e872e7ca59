"""How an exception in our own code is recorded."""

from __future__ import annotations

import pytest

from orchestrator.types import FailureKind
from orchestrator.worker.failures import TRACEBACK, internal_error


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """The same with a traceback, as code that raises it leaves it."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_a_bug_is_recorded_by_its_last_line_with_its_traceback_in_a_file() -> None:
    failure, files = internal_error(raised(KeyError("a key")))

    assert (failure.kind, failure.detail) == (FailureKind.INTERNAL_ERROR, "KeyError: 'a key'")
    assert list(files) == [TRACEBACK]
    assert files[TRACEBACK].startswith(b"Traceback")
    assert b"test_failures.py" in files[TRACEBACK]


def test_the_traceback_shows_the_cause_too() -> None:
    _, files = internal_error(raised(ValueError("second"), cause=OSError("first")))

    assert b"OSError: first" in files[TRACEBACK]


def test_a_long_message_is_whole_in_the_file_alone() -> None:
    failure, files = internal_error(raised(ValueError("x" * 9000)))

    assert len(failure.detail) == 500
    assert b"x" * 9000 in files[TRACEBACK]


def test_a_message_that_is_no_unicode_can_be_recorded() -> None:
    _, files = internal_error(raised(ValueError("half a pair: \ud800")))

    assert b"half a pair" in files[TRACEBACK]
