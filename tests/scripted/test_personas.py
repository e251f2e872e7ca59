from __future__ import annotations

import base64

import pytest

from orchestrator.scripted.actions import SUBMIT
from orchestrator.scripted.personas import (
    OVERFLOW_BODY,
    PERSONAS,
    ScriptedReply,
    Turn,
    apply_command,
    parse_persona,
)

PATCH = "--- größer 'quoted' $HOME\n+++ b\n"


def say(
    name: str, number: int, tries: int = 0, since_s: float = 0.0, parameter: float = 0
) -> ScriptedReply:
    return PERSONAS[name](Turn(number, tries, since_s, PATCH, parameter))


@pytest.mark.parametrize("name", ["solves", "slow", "errors", "hangs_up", "away"])
def test_personas_that_solve_apply_the_patch_and_submit(name: str) -> None:
    commands = [say(name, number, tries=9, since_s=99).command for number in range(4)]

    assert commands[1:] == [apply_command(PATCH), SUBMIT, SUBMIT]


@pytest.mark.parametrize("name", PERSONAS)
def test_a_turn_that_is_asked_for_again_is_answered_the_same(name: str) -> None:
    for number in range(5):
        assert say(name, number, 9, 99) == say(name, number, 9, 99)


def test_a_patch_survives_the_shell_whatever_stands_in_it() -> None:
    encoded = apply_command(PATCH).split()[1]

    assert base64.b64decode(encoded).decode() == PATCH


def test_some_never_submit() -> None:
    for name in ("never_submits", "loops", "breaks_format", "swallowed", "overflows"):
        assert all(say(name, number).command != SUBMIT for number in range(20)), name


def test_what_mends_nothing_is_submitted_too() -> None:
    assert [say("wrong", n).command == SUBMIT for n in range(3)] == [False, False, True]


def test_recovering_costs_one_turn() -> None:
    assert say("recovers", 0).command is None
    assert say("recovers", 3).command == SUBMIT


def test_failures_are_of_the_try_and_not_of_the_turn() -> None:
    assert [say("errors", 1, tries).status for tries in range(3)] == [500, 500, 200]
    assert [say("hangs_up", 1, tries).hang_up for tries in range(2)] == [True, False]
    assert say("errors", 1, 2, parameter=3).status == 500


def test_one_is_away_for_a_time() -> None:
    assert say("away", 0, since_s=1).hang_up
    assert not say("away", 0, since_s=1, parameter=0.5).hang_up


def test_one_crashes_once_the_bug_is_mended() -> None:
    assert [say("crashes_late", n).status for n in range(4)] == [200, 200, 500, 500]


def test_an_overflow_is_said_as_a_real_server_says_it() -> None:
    assert (say("overflows", 2).status, say("overflows", 2).body) == (400, OVERFLOW_BODY)


def test_a_swallowed_answer_has_reasoning() -> None:
    assert say("swallowed", 0).reasoning


@pytest.mark.parametrize(
    ("text", "name", "parameter"), [("solves", "solves", 0), ("slow:2.5", "slow", 2.5)]
)
def test_a_persona_may_have_a_parameter(text: str, name: str, parameter: float) -> None:
    assert parse_persona(text) == (PERSONAS[name], parameter)


@pytest.mark.parametrize("text", ["", "nobody", "slow:fast"])
def test_an_unknown_persona_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_persona(text)
