"""The right verdict for every way in which models and servers go wrong, and none for a good one."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import pytest
from support import played_model as plays
from support.played_model import PlayedServer, leaks, leaves_raw, played

from orchestrator.diagnose.causes import AskedModel, Blame
from orchestrator.diagnose.judge import Answered, Judgement, Kind
from orchestrator.diagnose.levels import CallLevel, Judged, LevelCell, State
from orchestrator.diagnose.protocols import FORMS
from orchestrator.diagnose.report import DiagnosisReport
from orchestrator.diagnose.verdict import Standing, Verdict, conclude
from orchestrator.scripted.protocols import Protocol

pytestmark = pytest.mark.slow

Diagnose = Callable[..., DiagnosisReport]
CALLS = (Protocol.CALLS,)
EVERY = tuple(form.protocol for form in FORMS)
TEXTS = EVERY[1:]

VERDICTS = {
    "parameters dropped in long loops": (
        plays.drops_in_long_loops,
        *("sweagent", Blame.FRAMEWORK, CALLS),
        "change the framework, not the model",
    ),
    "parameters dropped under many tools": (
        plays.drops_under_many_tools,
        *("sweagent", Blame.MODEL, CALLS),
        "use a text protocol",
    ),
    "parameters always dropped": (
        plays.drops_always,
        *("sweagent", Blame.MODEL, CALLS),
        "another model",
    ),
    "parameters dropped under concurrency": (
        plays.drops_in_company,
        *("sweagent", Blame.SERVER, CALLS),
        "use another version of the server",
    ),
    "padding under concurrency": (
        plays.pads_in_company,
        *("sweagent", Blame.SERVER, EVERY),
        "padding tokens",
    ),
    "no parser for Gemma's calls": (
        leaves_raw("gemma4"),
        *("sweagent", Blame.SERVER, CALLS),
        "--tool-call-parser gemma4 and give it vLLM's examples/tool_chat_template_gemma4.jinja",
    ),
    "no parser for Qwen's calls": (
        leaves_raw("qwen3_xml"),
        *("sweagent", Blame.SERVER, CALLS),
        "--enable-auto-tool-choice --tool-call-parser qwen3_xml",
    ),
    "no parser for Hermes' calls": (
        leaves_raw("hermes"),
        *("sweagent", Blame.SERVER, CALLS),
        "--tool-call-parser hermes",
    ),
    "no parser for Mistral's calls": (
        leaves_raw("mistral"),
        *("sweagent", Blame.SERVER, CALLS),
        "--tool-call-parser mistral",
    ),
    "turn tokens leak": (leaks("<|im_end|>"), None, Blame.SERVER, EVERY, "chat template"),
    "padding leaks": (leaks("<pad>"), None, Blame.SERVER, EVERY, "version"),
    "everything is taken for thought": (
        plays.is_swallowed,
        *(None, Blame.SERVER, EVERY),
        "without --reasoning-parser",
    ),
    "empty with tools": (
        plays.is_empty_with_tools,
        *("sweagent", Blame.SERVER, CALLS),
        "Ollama is known for it",
    ),
    "no room for an answer": (
        plays.is_cut_off,
        *(None, Blame.PROFILE, EVERY),
        "sampling.max_tokens",
    ),
    "never calls": (plays.talks, None, Blame.MODEL, EVERY, "another model"),
    "calls where text is asked for": (
        plays.calls_in_text,
        *("sweagent-tools", Blame.MODEL, TEXTS),
        "--agent sweagent-tools",
    ),
    "several blocks": (
        plays.fences_twice,
        *("sweagent", Blame.MODEL, (Protocol.MINI,)),
        "a protocol that works",
    ),
    "tools refused": (
        plays.refuses_tools,
        *("sweagent", Blame.SERVER, CALLS),
        "--enable-auto-tool-choice --tool-call-parser NAME (gemma4 for Gemma 4",
    ),
    "results of calls refused": (
        plays.refuses_results,
        *("sweagent", Blame.SERVER, CALLS),
        "a chat template that takes them",
    ),
    "failures with tools": (
        plays.fails_with_tools,
        *("sweagent", Blame.SERVER, CALLS),
        "chat template",
    ),
    "nothing but failures": (plays.fails_always, None, Blame.OUTAGE, EVERY, "server's log"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_each_fault_gets_its_own_verdict(name: str, diagnose: Diagnose) -> None:
    persona, agent, blame, protocols, cure = VERDICTS[name]

    verdict = diagnose(persona).verdict

    assert verdict.agent == agent
    (cause,) = verdict.causes
    assert (cause.blame, cause.protocols) == (blame, protocols)
    assert cure in cause.cure


@pytest.mark.slow
def test_a_good_model_is_never_blamed_in_twenty_runs(diagnose: Diagnose) -> None:
    for _ in range(20):
        verdict = diagnose(plays.good).verdict

        assert (verdict.agent, verdict.causes, verdict.remarks) == ("sweagent", (), ())


@pytest.mark.parametrize("persona", [plays.talks, plays.drops_always, leaks("<pad>")])
def test_a_model_that_fails_three_times_in_a_hundred_is_fine(
    persona: plays.Persona, diagnose: Diagnose
) -> None:
    for seed in range(2):
        verdict = diagnose(plays.fails_seldom(persona, 0.03, seed)).verdict

        assert (verdict.agent, verdict.causes) == ("sweagent", ())


def cell(
    level: CallLevel, valid: int, bad: int, kind: Kind = Kind.NO_CALL, **more: object
) -> LevelCell:
    """A cell of fenced text."""
    exchange = Answered({"messages": []}, 200, {})
    kinds = [Kind.VALID] * valid + [kind] * bad
    answers = [Judged(n, 1, exchange, Judgement(one)) for n, one in enumerate(kinds)]
    protocol = more.pop("protocol", Protocol.THOUGHT_ACTION)
    return LevelCell(level, protocol, 8, answers, **more)  # type: ignore[arg-type]


def concluded(*cells: LevelCell, names: tuple[str, ...] = ("played",), **more: object) -> Verdict:
    return conclude(cells, AskedModel(names, 8, 4.0, **more))  # type: ignore[arg-type]


def test_chance_seldom_makes_a_cell_of_a_good_model_fail() -> None:
    """Of 20 runs with 16 cells each, at 97 % valid answers."""
    failing = [bad for bad in range(11) if cell(CallLevel.ONE, 10 - bad, bad).state is State.FAILS]

    assert failing
    assert sum(comb(10, bad) * 0.03**bad * 0.97 ** (10 - bad) for bad in failing) < 0.001


STATES = {
    "nothing asked": (cell(CallLevel.ONE, 0, 0), State.UNTESTED),
    "one of ten": (cell(CallLevel.ONE, 9, 1), State.WORKS),
    "two of ten": (cell(CallLevel.ONE, 8, 2), State.UNCLEAR),
    "half of ten": (cell(CallLevel.ONE, 5, 5), State.FAILS),
    "four of four": (cell(CallLevel.ONE, 0, 4), State.UNCLEAR),
    "a fifth of fifty": (cell(CallLevel.CROWD, 38, 10), State.UNCLEAR),
    "a quarter of fifty": (cell(CallLevel.CROWD, 36, 12), State.FAILS),
    "refused": (cell(CallLevel.ONE, 0, 3, Kind.REFUSED), State.REFUSED),
    "some outages": (cell(CallLevel.ONE, 9, 5, Kind.NO_ANSWER), State.WORKS),
    "mostly outages": (cell(CallLevel.ONE, 2, 5, Kind.NO_ANSWER), State.BROKEN),
    "mostly cut off": (cell(CallLevel.ONE, 2, 8, Kind.CUT_OFF), State.CUT_OFF),
}


@pytest.mark.parametrize("name", STATES)
def test_a_cell_says_no_more_than_its_answers_do(name: str) -> None:
    asked, state = STATES[name]

    assert asked.state is state


def test_what_is_bad_everywhere_is_not_blamed_on_the_level() -> None:
    """At eight in ten, the level with the most answers is the first that can be told."""
    verdict = concluded(
        cell(CallLevel.ONE, 8, 2),
        cell(CallLevel.FULL, 8, 2),
        cell(CallLevel.LOOP, 9, 3),
        cell(CallLevel.CROWD, 36, 12),
    )

    (cause,) = verdict.causes
    assert cause.blame is Blame.MODEL
    assert "easier levels are not clearly better" in cause.words
    assert verdict.agent is None


def test_what_no_model_does_by_itself_is_the_servers_though_it_be_a_third() -> None:
    mixed = cell(CallLevel.ONE, 2, 5, Kind.NO_CALL)
    mixed.answers += cell(CallLevel.ONE, 0, 3, Kind.CONTROL).answers

    (cause,) = concluded(mixed).causes

    assert cause.blame is Blame.SERVER


def test_where_text_fails_an_agent_with_few_tools_may_still_do(diagnose: Diagnose) -> None:
    def persona(turn: plays.Turn, said: plays.Said) -> plays.Said:
        return plays.calls_in_text(turn, plays.drops_under_many_tools(turn, said))

    report = diagnose(persona)

    assert report.verdict.agent == "sweagent-tools"
    assert report.verdict.headline.startswith("Perhaps")
    assert report.exit_code == 0


def test_gemma_without_its_template_is_the_servers_doing(diagnose: Diagnose) -> None:
    verdict = diagnose(plays.drops_always, name="gemma-4-26b").verdict

    (cause,) = verdict.causes
    assert cause.blame is Blame.SERVER
    assert "tool_chat_template_gemma4.jinja" in cause.cure


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("gemma-4-26b", "gemma4"),
        ("Qwen/Qwen3.6-35B-A3B", "qwen3_xml"),
        ("qwen3.5-35b", "qwen3_xml"),
        ("Qwen3-8B", "hermes"),
        ("Devstral-Small", "mistral"),
        ("gpt-oss-120b", "openai"),
        ("GLM-4.7", "glm45"),
    ],
)
def test_a_server_without_a_parser_is_told_the_models_own(
    model: str, parser: str, diagnose: Diagnose
) -> None:
    given = played(model.rpartition("/")[2])
    server = PlayedServer(plays.refuses_tools, given.model_copy(update={"served_name": model}))

    (cause,) = diagnose(server=server).verdict.causes

    assert f"--tool-call-parser {parser}" in cause.cure


def test_a_prompt_that_does_not_fit_is_not_the_models_fault() -> None:
    words = "This model's maximum context length is 4096 tokens. However, you requested 5000"
    error = {"error": {"message": words, "code": 400}}
    exchange = Answered({"messages": []}, 400, error)
    refused = Judged(0, 1, exchange, Judgement(Kind.REFUSED, words))
    full = LevelCell(CallLevel.FULL, Protocol.CALLS, 1, [refused] * 3)

    (cause,) = concluded(full).causes

    assert cause.blame is Blame.SERVER
    assert "--max-model-len" in cause.cure


def test_several_calls_in_one_answer_are_valid_and_noted(diagnose: Diagnose) -> None:
    verdict = diagnose(plays.calls_twice).verdict

    assert verdict.causes == ()
    (remark,) = verdict.remarks
    assert "several calls at once" in remark


def test_a_leak_that_is_too_seldom_to_judge_by_is_told() -> None:
    verdict = concluded(cell(CallLevel.CROWD, 47, 1, Kind.CONTROL))

    assert any("no server that is well does this" in r for r in verdict.remarks)
    assert verdict.causes == ()


def test_a_server_that_counts_fewer_tokens_than_it_was_sent_cuts_prompts() -> None:
    """Ollama does so without a word where num_ctx is small."""
    request = {"messages": [{"role": "user", "content": "x" * 16000}]}
    answer = {"usage": {"prompt_tokens": 1900}}
    judged = Judged(0, 1, Answered(request, 200, answer), Judgement(Kind.VALID))

    verdict = concluded(LevelCell(CallLevel.FULL, Protocol.CALLS, 1, [judged] * 10))

    assert any("num_ctx" in remark for remark in verdict.remarks)


def test_what_was_not_asked_is_said_and_not_taken_for_good() -> None:
    late = cell(CallLevel.LOOP, 0, 0, skipped="no time was left")
    verdict = concluded(cell(CallLevel.ONE, 10, 0), cell(CallLevel.FULL, 10, 0), late)

    assert verdict.agent == "sweagent"
    assert verdict.headline.startswith("Perhaps")
    assert any("no time was left" in remark for remark in verdict.remarks)


@pytest.mark.parametrize(
    "cells", [(), (cell(CallLevel.ONE, 0, 2),)], ids=["nothing", "two bad ones"]
)
def test_too_little_says_nothing(cells: tuple[LevelCell, ...]) -> None:
    verdict = concluded(*cells)

    assert (verdict.agent, verdict.causes) == (None, ())
    assert verdict.headline.startswith("Nothing is known")


def test_an_outage_in_the_middle_condemns_no_model() -> None:
    """The server is slow all of a sudden: it is there, and answers nothing in time."""
    cells = [cell(CallLevel.ONE, 10, 0, protocol=form.protocol) for form in FORMS]
    cells += [cell(CallLevel.FULL, 0, 3, Kind.NO_ANSWER, protocol=form.protocol) for form in FORMS]

    verdict = concluded(*cells)

    assert verdict.headline.startswith("Nothing is known")
    (cause,) = verdict.causes
    assert (cause.blame, cause.protocols) == (Blame.OUTAGE, EVERY)


def test_a_server_that_fails_only_with_many_at_once_is_used_with_one() -> None:
    levels = (CallLevel.ONE, CallLevel.FULL, CallLevel.LOOP)
    crowd = cell(CallLevel.CROWD, 0, 8, Kind.NO_ANSWER)

    verdict = concluded(*(cell(level, 10, 0) for level in levels), crowd)

    assert "sweagent with --workers 1" in verdict.headline


def test_a_server_that_went_away_leaves_no_verdict() -> None:
    verdict = concluded(cell(CallLevel.ONE, 10, 0), is_gone=True)

    assert verdict.agent is None
    assert "stopped answering" in verdict.headline


def test_what_is_unknown_or_fails_is_not_recommended() -> None:
    assert [standing.name for standing in Standing if standing.is_usable] == [
        *("WORKS", "ALONE", "UNCLEAR", "FEW_TOOLS")
    ]


def test_what_nobody_asked_for_does_not_hide_that_an_agent_fails() -> None:
    fails = cell(CallLevel.ONE, 0, 10, protocol=Protocol.CALLS)

    alone = concluded(fails, protocols=CALLS)
    assert alone.headline == "No agent that was asked for works with this model as it is served."
    assert alone.agent is None
    assert concluded(fails).headline.startswith("Nothing is known"), "the others may work yet"
