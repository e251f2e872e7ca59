"""Thoughts within an answer: which ones are taken out, and what stays."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.endpoint.thoughts import TAGS, strip_reasoning, strip_thoughts


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("<think>a\nb</think>\n\nx", "x"),
        (" <think></think>x</think>", "x</think>"),
        ("\n<Think>a</THINK>x", "x"),
        # opened in the prompt
        ("I look.</think>\n\nx", "x"),
        ("</think>x", "x"),
        ('I say "no"</think>\nx', "x"),
        ("a</think>b</think>c", "b</think>c"),
        # several
        ("<think>a</think>\n<think>b</think>\nx", "x"),
        ("<think>a</think><seed:think>b</seed:think>x", "x"),
        ("<think>a<think>b</think>x", "x"),
        # never closed: there is no answer
        ("<think>a\n```\nls\n```", ""),
        ("<think>a</think>\n<think>b", ""),
        ("<think>", ""),
    ],
)
def test_thoughts_at_the_start_are_taken_out(content: str, answer: str) -> None:
    assert strip_thoughts(content) == answer


@pytest.mark.parametrize(("opening", "closing"), TAGS.items())
def test_every_models_tags_are_known(opening: str, closing: str) -> None:
    assert strip_thoughts(f"{opening}\na{closing}\nx") == "x"
    assert strip_thoughts(f"a{closing}\nx") == "x"
    assert strip_thoughts(f"{opening}\na") == ""


@pytest.mark.parametrize(
    "content",
    [
        "x <think>y</think>",
        "I run grep '</think>' and",
        'print("</think>")',
        "`</think>` is the tag",
        "x <think>",
        "<thinking>x</thinking>",
        "  x",
        "",
    ],
)
def test_what_is_no_thought_stays_as_it_is(content: str) -> None:
    assert strip_thoughts(content) == content


@pytest.mark.slow
def test_an_answer_of_tags_takes_no_time() -> None:
    assert strip_thoughts("<think></think>" * 100_000) == ""
    assert strip_thoughts("'</think>'" * 100_000).startswith("'")


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ({"content": "x", "reasoning": "hm"}, {"content": "x"}),
        ({"content": None, "reasoning_content": "hm"}, {"content": None}),
        ({"content": "<think>a</think>x"}, {"content": "x"}),
    ],
)
def test_thoughts_are_taken_out_of_a_message(message: dict[str, Any], left: dict[str, Any]) -> None:
    assert strip_reasoning(message)
    assert message == left


@pytest.mark.parametrize("content", ["x <think>y</think>", None, ["<think>"]])
def test_a_message_without_thoughts_stays(content: Any) -> None:
    message = {"content": content}

    assert not strip_reasoning(message)
    assert message == {"content": content}
