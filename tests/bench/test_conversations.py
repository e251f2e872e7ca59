"""Simulated conversations: their sizes, and what they share."""

from __future__ import annotations

from random import Random

import pytest

from orchestrator.bench.conversations import Conversation, code_text, shape_for


def converse(session: str, nonce: str, context: int = 4096, age: int = 0) -> Conversation:
    return Conversation(shape_for(context, 40), Random(nonce), 4.0, session, nonce, age)


@pytest.mark.parametrize("context", [2048, 4096, 32768, 131072])
def test_a_conversation_fits_into_its_context_and_ends(context: int) -> None:
    shape = shape_for(context, 40)
    conversation = converse("s", "n", context)
    steps = 0
    while not conversation.is_over:
        steps += 1
        prompt = sum(len(message["content"]) for message in conversation.messages) // 4
        said = conversation.answer_tokens()
        assert prompt + said <= context
        conversation.add("x" * 4 * said, prompt + said)

    assert 0.5 * shape.expected_steps <= steps <= 40
    assert steps >= 3


def test_agents_share_the_system_prompt_and_nothing_more() -> None:
    one, other = converse("s", "a").messages, converse("s", "b").messages

    assert one[0] == other[0]
    assert one[1]["content"][:10] != other[1]["content"][:10]


def test_levels_share_nothing() -> None:
    one, other = (converse(session, "a").messages[0]["content"] for session in "st")

    assert one[:10] != other[:10]


def test_an_aged_conversation_has_a_past_and_room_for_a_step() -> None:
    young, old = converse("s", "a", age=2), converse("s", "a", age=99)

    assert [m["role"] for m in young.messages[2:]] == ["assistant", "user"] * 2
    assert len(old.messages) > len(young.messages)
    assert not old.is_over


def test_text_has_the_length_that_was_asked_for() -> None:
    assert [len(code_text(Random(1), n)) for n in (0, 7, 5000)] == [0, 7, 5000]
