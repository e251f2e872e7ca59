"""Questions at a terminal: asked again until the answer is one, or answered by flags."""

from __future__ import annotations

import pytest
from support.person import Person

from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.setup.questions import FlagQuestion, chosen, numbered, read_number, read_yes_or_no


def read_port(text: str) -> int:
    if text == "down":
        raise PrerequisiteError("nothing answers.", "Start it.")
    if not text.isdecimal():
        raise ConfigError(f"{text!r} is no port")
    return int(text)


PORT = FlagQuestion("--port", "Which port?", read_port, "8000", ("  8000  is vLLM's",))
NAME = FlagQuestion("--name", "Which name?", str)


@pytest.mark.parametrize("wrong", ["x", "-1", "8 0", "[red]", "\ud800", "down"])
def test_a_bad_answer_is_asked_again_with_one_line(wrong: str) -> None:
    person = Person([wrong, " 80 "])

    assert person.asker().ask(PORT) == 80
    assert person.asked == ["Which port? [8000]: "] * 2
    choices, problem = person.saw.splitlines()
    assert choices == "  8000  is vLLM's"
    assert problem


def test_an_empty_answer_is_the_default() -> None:
    assert Person([""]).asker().ask(PORT) == 8000


def test_a_flag_answers_and_nobody_is_asked() -> None:
    person = Person()

    assert person.asker().ask(PORT, "80") == 80
    assert person.asked == []
    with pytest.raises(ConfigError, match="--port: 'x' is no port"):
        person.asker().ask(PORT, "x")
    with pytest.raises(PrerequisiteError, match="nothing answers"):
        person.asker().ask(PORT, "down")


def test_without_a_terminal_the_flag_that_is_missing_is_named() -> None:
    asker = Person(["80"]).asker(at_terminal=False)

    with pytest.raises(ConfigError, match=r"--port is missing, .* --yes takes 8000"):
        asker.ask(PORT)
    with pytest.raises(ConfigError, match=r"--name is missing, .* terminal to ask at$"):
        asker.ask(NAME)


def test_yes_takes_what_was_found_and_asks_for_what_was_not() -> None:
    person = Person(["me"])
    asker = person.asker(takes_defaults=True)

    assert asker.ask(PORT) == 8000
    assert asker.ask(NAME) == "me"
    with pytest.raises(ConfigError, match="--name is missing"):
        person.asker(at_terminal=False, takes_defaults=True).ask(NAME)


def test_an_input_that_ends_is_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt):
        Person(gives_up=True).asker().ask(PORT)


@pytest.mark.parametrize("text", ["nan", "inf", "0", "-1", "1e9", "x", ""])
def test_a_number_is_one_that_can_be_meant(text: str) -> None:
    with pytest.raises(ConfigError):
        read_number(0)(text)


def test_yes_and_no_are_read_as_people_write_them() -> None:
    assert [read_yes_or_no(text) for text in ("y", "YES", " n ", "No")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_number_stands_for_what_is_listed_and_only_for_that() -> None:
    assert numbered(("a", "b\x1b[2J")) == ("  1  a", "  2  b")
    assert [chosen(text, ("a", "b")) for text in ("1", " 2 ", "c")] == ["a", "b", "c"]
    for text in ("0", "3", "99999999999999999999"):
        with pytest.raises(ConfigError, match="there is no number"):
            chosen(text, ("a", "b"))
