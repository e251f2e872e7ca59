"""How an exception that nobody foresaw is recorded."""

from __future__ import annotations

import errno

import pytest

from orchestrator.types import Failure, FailureKind
from orchestrator.worker.failures import TRACEBACK, unforeseen


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """The same with a traceback, as code that raises it leaves it."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_a_bug_is_recorded_in_one_line_with_its_traceback_in_a_file() -> None:
    failure, files = unforeseen(raised(KeyError("a key")))

    assert failure.failure == Failure(FailureKind.INTERNAL_ERROR, "KeyError: 'a key'")
    assert list(files) == [TRACEBACK]
    assert files[TRACEBACK].startswith(b"Traceback")
    assert b"test_failures.py" in files[TRACEBACK]


def test_the_traceback_shows_the_cause_too() -> None:
    _, files = unforeseen(raised(ValueError("second"), cause=OSError("first")))

    assert b"OSError: first" in files[TRACEBACK]


def test_a_long_message_is_whole_in_the_file_alone() -> None:
    failure, files = unforeseen(raised(ValueError("x" * 9000)))

    assert len(failure.failure.detail) < 500
    assert b"x" * 9000 in files[TRACEBACK]


def test_a_message_that_is_no_unicode_can_be_recorded() -> None:
    failure, files = unforeseen(raised(ValueError("half a pair: \ud800")))

    assert failure.failure.detail == "ValueError: half a pair: \ufffd"
    assert b"half a pair" in files[TRACEBACK]


def test_an_error_of_many_lines_with_a_note_is_one_line_without_it() -> None:
    error = ValueError("one\ntwo")
    error.add_note("and a note")
    failure, files = unforeseen(raised(error))

    assert failure.failure.detail == "ValueError: one two"
    assert b"and a note" in files[TRACEBACK]


@pytest.mark.parametrize(
    "trouble",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EMFILE, ""), MemoryError()],
    ids=["disk", "files", "memory"],
)
def test_a_host_that_has_run_out_of_something_is_no_bug(trouble: Exception) -> None:
    failure, _ = unforeseen(raised(trouble))

    assert failure.kind is FailureKind.WORKER_LOST


def test_a_file_that_should_be_there_is_one() -> None:
    failure, _ = unforeseen(raised(FileNotFoundError(errno.ENOENT, "no such file")))

    assert failure.kind is FailureKind.INTERNAL_ERROR
