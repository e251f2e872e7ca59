"""What is asked is as large as what frameworks ask, and fits into whatever context there is."""

from __future__ import annotations

import json

import pytest
from support.played_model import good_message

from orchestrator.diagnose.protocols import FORMS, go_on, open_full
from orchestrator.diagnose.tasks import (
    TURNS,
    Detail,
    all_tools,
    fit,
    handbook,
    manual,
    result_of,
    tools_for,
)
from orchestrator.scripted.protocols import Protocol

CONTEXTS = [(262144, 3.8), (32768, 3.5), (16384, 1.0), (8192, 3.8), (8192, 1.0), (4096, 3.6)]
"""Tokens, and characters a token: real models have about 3.8, the tiny one of the tests 1."""
TIGHT = [(4096, 1.0), (2048, 3.0)]


def test_there_are_eleven_tools_and_some_thousand_tokens() -> None:
    prompt = handbook() + json.dumps(tools_for(Detail.FULL))

    assert len(all_tools()) == 11
    assert len(prompt) / 3.8 > 3500


@pytest.mark.parametrize("detail", list(Detail))
def test_each_tool_has_a_schema_that_servers_take(detail: Detail) -> None:
    for tool in tools_for(detail):
        parameters = tool["function"]["parameters"]
        assert parameters["required"]
        assert set(parameters["required"]) <= set(parameters["properties"])
        assert {given["type"] for given in parameters["properties"].values()} <= {
            *("string", "integer", "number", "boolean", "array", "object")
        }
        assert all("items" in p for p in parameters["properties"].values() if p["type"] == "array")


def test_shorter_details_are_shorter() -> None:
    lengths = [len(json.dumps(tools_for(detail))) for detail in Detail]

    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize(("context", "ratio"), CONTEXTS + TIGHT)
def test_a_whole_loop_fits_into_the_context(
    context: int, ratio: float, protocol: Protocol, templates: dict[Protocol, str]
) -> None:
    sizes = fit(context, ratio)
    form = next(form for form in FORMS if form.protocol is protocol)
    opening = open_full(form, templates[protocol], 5, sizes)
    messages = opening.messages
    tools = [] if form.is_text else opening.tools
    for _ in range(sizes.turns):
        asked = len(json.dumps(messages + tools, ensure_ascii=False)) / ratio
        assert asked + sizes.max_tokens < context
        request = {"messages": messages, "tools": tools}
        messages = [*messages, *go_on(protocol, good_message(request), sizes)]


@pytest.mark.parametrize(("context", "ratio"), CONTEXTS[:2])
def test_nothing_is_left_out_of_an_ordinary_context(context: int, ratio: float) -> None:
    sizes = fit(context, ratio)

    assert sizes.shortened == ""
    assert (sizes.turns, sizes.tools, sizes.detail) == (TURNS, 11, Detail.FULL)


@pytest.mark.parametrize(("context", "ratio"), CONTEXTS[2:3] + CONTEXTS[4:] + TIGHT)
def test_what_is_left_out_of_a_small_context_is_said(context: int, ratio: float) -> None:
    sizes = fit(context, ratio)

    assert "tools with no descriptions" in sizes.shortened
    assert sizes.tools >= 2


def test_the_handbook_is_cut_between_paragraphs() -> None:
    cut = handbook(1200)

    assert handbook().startswith(cut)
    assert cut.endswith("\n\n")
    assert handbook(0) == ""


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("submit", "Not taken yet"),
        ("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "Not taken yet"),
        ("python -m pytest tests", "1 failed"),
        ("grep -rn 'def parse' src", "src/rates.py:"),
        ("cat src/rates.py", "def parse"),
        ('file_editor {"operation": "replace"}', "Changed."),
        ('think {"thought": "hm"}', "Noted."),
        ("true", "(no output)"),
    ],
)
def test_a_sandbox_is_played_so_that_a_loop_goes_on(action: str, says: str) -> None:
    assert says in result_of(action)
    assert len(result_of(action, 50)) <= 50


def test_the_manual_tells_text_protocols_of_every_tool() -> None:
    told = manual(tools_for(Detail.REQUIRED))

    assert all(f"{tool['name']}:" in told for tool in all_tools())
