"""Which commands a shell can be given, and what is said of the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.commands import CAN_NOT_EXECUTE, is_long, refusal
from orchestrator.text import writable


@pytest.mark.parametrize(
    "command", ["", "ls", "echo größer 😀", "echo '\x03\x1b[2J\r'", "x" * 10**6]
)
def test_commands_of_characters_are_run(command: str) -> None:
    assert refusal(command) is None


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("echo a\0b", "NUL"),
        ("\ud83d", "surrogate"),
        ("ls \ude00", "surrogate"),
        ("\0\ud83d", "NUL"),
    ],
)
def test_of_others_it_is_said_what_no_shell_can_be_given(command: str, what: str) -> None:
    told = refusal(command)

    assert told is not None
    assert told.exit_code == CAN_NOT_EXECUTE
    assert not told.timed_out
    assert what in told.text


@pytest.mark.fuzz
@given(st.text(st.characters()))
def test_what_is_not_refused_can_be_encoded(command: str) -> None:
    if refusal(command) is None:
        assert not is_long(command)
    else:
        assert writable(command) != command


def test_bytes_count_and_not_characters() -> None:
    assert is_long("ö" * 60_000)
    assert not is_long("o" * 60_000)
