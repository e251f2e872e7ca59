from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.local_gateway import LocalGateway, model_at
from support.rows import changed_lines, key_of

from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.actions import SUBMIT, Incomplete
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.scripted.personas import (
    OVERFLOW_BODY,
    PERSONAS,
    ScriptedReply,
    Turn,
    apply_command,
    parse_persona,
)
from orchestrator.types import Instance, Outcome, RolloutResult

PATCH = "--- größer 'quoted' $HOME\n+++ b\n"


OPENHANDS = {"tools": 5, "by_calls": True}
OPENHANDS_TEXT = {"tools": 5, "by_calls": False}
SWEAGENT_TOOLS = {"tools": 3, "by_calls": True}
TEXT: dict[str, Any] = {"tools": 0, "by_calls": False}
FORMS = [OPENHANDS, OPENHANDS_TEXT, SWEAGENT_TOOLS, TEXT]


def say(
    name: str,
    number: int,
    tries: int = 0,
    since_s: float = 0.0,
    parameter: float = 0,
    **form: Any,
) -> ScriptedReply:
    return PERSONAS[name](Turn(number, tries, since_s, PATCH, parameter, **form))


def broken(reply: ScriptedReply) -> bool:
    return isinstance(reply.command, Incomplete)


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
    for name in ("never_submits", "loops", "breaks_format", "swallowed", "overflows", "qwen"):
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


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_one_error_costs_one_turn(form: dict[str, Any]) -> None:
    first, *others = (say("errs_once", number, **form) for number in range(4))

    assert broken(first)
    assert others == [say("solves", number) for number in range(3)]


@pytest.mark.parametrize(
    ("form", "parameter", "drops"),
    [
        (OPENHANDS, 0, True),
        (OPENHANDS_TEXT, 0, True),
        (SWEAGENT_TOOLS, 0, False),
        (SWEAGENT_TOOLS, 3, True),
        (OPENHANDS, 6, False),
        (OPENHANDS, 5, True),
        (TEXT, 0, False),
    ],
)
def test_one_drops_parameters_for_ever_where_many_functions_are_offered(
    form: dict[str, Any], parameter: float, drops: bool
) -> None:
    replies = [say("drops_parameters", n, parameter=parameter, **form) for n in range(50)]

    assert all(map(broken, replies)) == any(map(broken, replies)) == drops


def test_calls_that_are_dropped_differ_so_that_no_agent_sees_a_loop() -> None:
    replies = [say("drops_parameters", number, **OPENHANDS) for number in range(20)]

    assert len({reply.thought for reply in replies}) == 20
    assert all(one.command != other.command for one, other in pairwise(replies))


def test_one_forgets_parameters_after_some_turns() -> None:
    replies = [say("forgets_late", number, **OPENHANDS) for number in range(20)]
    sooner = [say("forgets_late", number, parameter=2, **OPENHANDS) for number in range(20)]

    assert list(map(broken, replies)) == [False] * 5 + [True] * 15
    assert list(map(broken, sooner)) == [False] * 2 + [True] * 18


def test_who_has_no_parameters_to_forget_solves() -> None:
    commands = [say("forgets_late", number, **TEXT).command for number in range(5, 8)]

    assert commands == [say("solves", number).command for number in range(3)]


@pytest.mark.parametrize("form", [OPENHANDS_TEXT, SWEAGENT_TOOLS, TEXT], ids=str)
def test_gemma_solves_in_nine_steps_in_text_and_in_small_frameworks(form: dict[str, Any]) -> None:
    commands = [say("gemma", number, **form).command for number in range(9)]

    assert commands.index(SUBMIT) == 8
    assert commands.count(apply_command(PATCH)) == 1
    assert len(set(commands)) == 9


def test_gemma_never_gives_parameters_in_a_large_framework() -> None:
    assert all(broken(say("gemma", number, **OPENHANDS)) for number in range(50))


@pytest.mark.parametrize("form", [OPENHANDS, SWEAGENT_TOOLS], ids=str)
def test_qwen_errs_once_by_calls(form: dict[str, Any]) -> None:
    assert [say("qwen", n, **form) for n in range(4)] == [say("errs_once", n) for n in range(4)]


@pytest.mark.parametrize("form", [OPENHANDS_TEXT, TEXT], ids=str)
def test_qwen_mends_the_bug_in_text_and_never_submits(form: dict[str, Any]) -> None:
    commands = [say("qwen", number, **form).command for number in range(50)]

    assert apply_command(PATCH) in commands
    assert SUBMIT not in commands


@pytest.mark.parametrize("benchmark", ["smoke", "demo"])
@pytest.mark.parametrize("persona", ["gemma", "qwen"])
def test_the_users_models_are_profiles_that_say_that_they_are_played(
    persona: str, benchmark: str
) -> None:
    config = load_config(
        RunRequest(benchmark, model=f"scripted-{persona}", agent="mini", run_id="r")
    )

    assert config.scripted
    assert config.model is not None
    assert config.model.personas == {"default": persona}
    assert "played" in config.model.description


@pytest.mark.slow  # two seconds
@pytest.mark.parametrize(
    ("persona", "outcome", "steps"),
    [("gemma", Outcome.SUBMITTED, 9), ("qwen", Outcome.STEP_LIMIT, 12)],
)
def test_the_users_evening_in_plain_text(
    persona: str,
    outcome: Outcome,
    steps: int,
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
    play: Callable[..., RolloutResult],
) -> None:
    settings = {"rollout.max_steps": 12}
    config = load_config(RunRequest("demo", agent="mini", run_id="r", settings=settings))
    endpoint = ScriptedEndpoint([instance], demo.answers, {"default": persona})
    with endpoint, LocalGateway(model_at(endpoint.base_url)) as gateway:
        base_url = gateway.base_url(key_of(instance.instance_id))
        result = play(
            config, instance, "process", tmp_path, base_url=base_url, api_key=gateway.token
        )

    assert (result.outcome, result.record.usage.steps) == (outcome, steps)
    assert result.record.salvaged == (persona == "qwen")
    gold = unseal(demo.answers[instance.instance_id]).gold_patch
    assert changed_lines(result.patch) == changed_lines(gold)


@pytest.mark.parametrize(
    ("text", "name", "parameter"), [("solves", "solves", 0), ("slow:2.5", "slow", 2.5)]
)
def test_a_persona_may_have_a_parameter(text: str, name: str, parameter: float) -> None:
    assert parse_persona(text) == (PERSONAS[name], parameter)


@pytest.mark.parametrize("text", ["", "nobody", "slow:fast"])
def test_an_unknown_persona_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_persona(text)
