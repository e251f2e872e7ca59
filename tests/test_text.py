"""Text of others: what becomes of characters that files, shells and terminals do not take."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.text import as_sentence, printable, printed, visible, writable


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("größer 😀\n\t\x1b", "größer 😀\n\t\x1b"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
        ("a\0b\0", "a\ufffdb\ufffd"),
        ("", ""),
    ],
)
def test_what_is_no_character_is_replaced_by_the_sign_for_it(text: str, written: str) -> None:
    assert writable(text) == written


@pytest.mark.fuzz
@given(st.text(st.characters()))
def test_whatever_json_may_hold_can_be_written(text: str) -> None:
    written = writable(json.loads(json.dumps(text)))

    assert "\0" not in written
    assert written.encode("utf-8").decode("utf-8") == written
    assert writable(written) == written
    assert len(written) <= len(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hcleared", "cleared"),
        ("a\rb\bc\x07\x7f", "abc"),
        ("\x1b]0;a title\x07", "]0;a title"),
        ("\x9b31mC1", "31mC1"),
        ("a\u202etxt.exe\u202c\u2066b\u2069", "atxt.exeb"),
        ("[/bold] [red]", "[/bold] [red]"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\ud83d\0", "\ufffd\ufffd"),
    ],
)
def test_a_terminal_gets_nothing_that_moves_its_cursor(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("leave it out", "Leave it out."),
        ("Does it know?", "Does it know?"),
        ("--flag helps.", "--flag helps."),
        ("  élan ", "Élan."),
    ],
)
def test_a_part_of_a_sentence_becomes_a_whole_one(text: str, sentence: str) -> None:
    assert as_sentence(text) == sentence


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\tb\nc 😀", "a\tb\nc 😀"),
        ("\x1b[31m", "[ESC][31m"),
        ("a\rb\x7f", "a[CR]b[U+007F]"),
        ("\x85\u202e\u2066\ufeff\u200b", "[U+0085][U+202E][U+2066][U+FEFF][U+200B]"),
        ("\U000e0041", "[U+E0041]"),
        ("\0\ud800", "\ufffd\ufffd"),
    ],
)
def test_what_nobody_would_see_has_a_sign(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        (" 1%\r 2%\r\nend", " 1%\n 2%\nend"),
        ("\x1b]0;never ended", "[ESC]]0;never ended"),
    ],
)
def test_what_a_program_printed_is_read_without_colours(text: str, seen: str) -> None:
    assert printed(text) == seen
