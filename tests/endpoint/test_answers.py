"""What servers say in place of an answer in OpenAI's form, and what agents get of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.endpoint.answers import (
    Pieces,
    StreamedChoice,
    mend_escapes,
    mend_strings,
    normalise,
    read_json,
)
from orchestrator.endpoint.fields import is_swallowed, why_no_completion
from orchestrator.text import writable

TEXT = st.text(st.characters())
"""Any string that JSON may hold, half surrogate pairs and NUL among them."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = ["content", "tool_calls", "reasoning"]
CALL: dict[str, Any] = {
    "id": "1",
    "type": "function",
    "function": {"name": "bash", "arguments": '{"command": "ls"}'},
}


def normalised(message: Any) -> dict[str, Any]:
    """What becomes of a message on its way from a server to an agent."""
    raw = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    data, _ = read_json(raw)
    assert why_no_completion(data) == ""
    changed = normalise(data)
    assert changed == (data != json.loads(raw))
    found: dict[str, Any] = data["choices"][0]["message"]
    return found


def content_of(content: Any) -> Any:
    return normalised({"role": "assistant", "content": content})["content"]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "größer 😀 \x1b[31m"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": "", "tool_calls": [], "reasoning": "hm"},
        {"role": "assistant", "content": "x", "tool_calls": None},
        {"role": "assistant", "content": "the escape \\ud83d in words"},
    ],
)
def test_what_is_in_form_is_left_as_it_is(message: dict[str, Any]) -> None:
    assert normalised(message) == message


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}], "ano"),
        (["a", "b", None, 5], "ab5"),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {"text": "a"}], "a"),
        ([{"type": "text", "text": {"value": "a", "annotations": []}}], "a"),
        ([{"type": "text", "text": None}], ""),
        ({"type": "text", "text": "a"}, "a"),
        ({"answer": 42}, '{"answer": 42}'),
        ([], ""),
        (5, "5"),
        (True, "true"),
        ([[["a"]]], "a"),
        ("a\ud83d\0b", "a\ufffd\ufffdb"),
        ([{"text": "\ud83d"}, {"text": "\ude00"}], "\ufffd\ufffd"),
    ],
)
def test_content_is_text_whatever_it_came_as(content: Any, text: str) -> None:
    assert content_of(content) == text


def test_parts_that_are_thoughts_are_reasoning() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    answer = {"choices": [{"message": {"content": [thought]}, "finish_reason": "stop"}]}

    normalise(answer)

    assert answer["choices"][0]["message"]["reasoning"] == "hm"
    assert is_swallowed(answer)


@pytest.mark.parametrize("message", [None, {}, {"role": None}, {"content": None}])
def test_a_message_that_says_nothing_is_an_empty_answer(message: Any) -> None:
    assert normalised(message) == {"role": "assistant", "content": None}


@pytest.mark.parametrize(
    ("given_function", "function"),
    [
        ({"name": "bash", "arguments": {"a": 1}}, {"name": "bash", "arguments": '{"a": 1}'}),
        ({"name": "bash", "arguments": None}, {"name": "bash", "arguments": "{}"}),
        ({"name": "bash"}, {"name": "bash", "arguments": "{}"}),
        ({"name": "bash", "arguments": ["ls"]}, {"name": "bash", "arguments": '["ls"]'}),
        ({"name": None, "arguments": ""}, {"name": "nothing", "arguments": "{}"}),
        ({"name": 7, "arguments": "x"}, {"name": "nothing", "arguments": "x"}),
        ({"name": "\ud83d", "arguments": "{}"}, {"name": "\ufffd", "arguments": "{}"}),
        (None, {"name": "nothing", "arguments": "{}"}),
        (
            {"name": "bash", "arguments": r'{"command": "\ud83d \ud83d\ude00 \\ud83d \u0000"}'},
            {
                "name": "bash",
                "arguments": r'{"command": "\ufffd \ud83d\ude00 \\ud83d \ufffd"}',
            },
        ),
    ],
)
def test_a_call_has_a_name_and_arguments_in_json(given_function: Any, function: Any) -> None:
    call = {"id": "1", "type": "function", "function": given_function}

    (found,) = normalised({"tool_calls": [call]})["tool_calls"]

    assert found == call | {"function": function}


def test_calls_are_a_list_of_objects_each_with_an_id() -> None:
    assert normalised({"tool_calls": CALL})["tool_calls"] == [CALL]
    assert normalised({"tool_calls": ["ls", None, CALL]})["tool_calls"] == [CALL]
    assert normalised({"tool_calls": [{}]})["tool_calls"] == [
        {
            "id": "call_0",
            "type": "function",
            "function": {"name": "nothing", "arguments": "{}"},
        }
    ]


def test_a_call_of_the_old_style_is_a_call_too() -> None:
    message = normalised({"function_call": {"name": "bash", "arguments": "{}"}})

    assert message["tool_calls"][0]["function"] == {"name": "bash", "arguments": "{}"}
    assert message["function_call"] == {"name": "bash", "arguments": "{}"}, "who asked for it"


def test_every_choice_is_brought_into_form() -> None:
    answer = {"choices": [{"message": {"content": ["a"]}}, {"message": {"content": ["b"]}}]}

    assert normalise(answer)
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("raw", "data", "is_strict"),
    [
        (b'{"a": "x"}', {"a": "x"}, True),
        (b'{"a": "gr\xfc\xdfe"}', {"a": "gr\ufffd\ufffde"}, False),
        (b'{"a": "x\ny\tz"}', {"a": "x\ny\tz"}, False),
        (b"<html>", None, True),
        (b"", None, True),
        (b"\xff", None, True),
        (b"[" * 100_000, None, True),
        (b'{"a": "\xed\xa0\xbd"}', {"a": "\ud83d"}, True),
    ],
)
def test_json_is_read_as_sloppy_servers_write_it(raw: bytes, data: Any, is_strict: bool) -> None:
    assert read_json(raw) == (data, is_strict)


@pytest.mark.parametrize("escaped", [True, False])
def test_halves_of_pairs_are_found_however_they_are_written(escaped: bool) -> None:
    said = json.dumps({"a": [{"b": "\ud83d"}], "c": ["x\0"]}, ensure_ascii=escaped)
    tree, _ = read_json(said.encode("utf-8", "surrogatepass"))

    assert mend_strings(tree)
    assert tree == {"a": [{"b": "\ufffd"}], "c": ["x\ufffd"]}
    assert not mend_strings(tree)


@pytest.mark.fuzz
@given(st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "reasoning"]), JSON))
def test_whatever_a_server_says_becomes_an_answer_that_agents_can_read(
    message: dict[str, Any],
) -> None:
    found = normalised(message)

    assert isinstance(found["role"], str)
    assert found["content"] is None or found["content"] == writable(found["content"])
    for call in found.get("tool_calls") or []:
        assert call["function"]["name"] == writable(call["function"]["name"])
        assert isinstance(call["function"]["arguments"], str)
    again = json.dumps({"choices": [{"message": found, "finish_reason": "stop"}]}).encode()
    assert not normalise(json.loads(again)), "once is enough"


@pytest.mark.fuzz
@given(st.lists(st.dictionaries(TEXT, JSON) | JSON, max_size=3))
def test_whatever_a_call_is_a_parser_gets_text(calls: list[Any]) -> None:
    for call in normalised({"tool_calls": calls}).get("tool_calls") or []:
        assert isinstance(call["function"]["arguments"], str)
        assert call["function"]["name"]


@pytest.mark.fuzz
@given(st.dictionaries(TEXT, TEXT))
def test_mended_arguments_hold_what_a_shell_can_be_given(values: dict[str, str]) -> None:
    mended = json.loads(mend_escapes(json.dumps(values)))

    assert mended == {writable(key): writable(value) for key, value in values.items()}


PIECES = st.lists(
    st.text(st.sampled_from("\\ud83\ude00\ud83dab0cC\0\n") | st.characters(), max_size=5),
    max_size=8,
)


@pytest.mark.fuzz
@given(PIECES, st.booleans())
def test_a_text_in_pieces_is_the_same_as_the_whole(pieces: list[str], is_json: bool) -> None:
    text = "".join(pieces)
    stream = Pieces(is_json)

    handed_on = "".join([*map(stream.add, pieces), stream.end()])

    assert handed_on == (mend_escapes(writable(text)) if is_json else writable(text))


def streamed(*deltas: Any) -> list[Any]:
    """What becomes of a stream's deltas; the last one has a finish_reason."""
    choice = StreamedChoice()
    given = [{"delta": delta, "finish_reason": None} for delta in deltas]
    given[-1]["finish_reason"] = "stop"
    for one in given:
        choice.take(one)
    return [one["delta"] for one in given]


def test_two_halves_in_two_events_are_one_character() -> None:
    assert streamed({"content": "a\ud83d"}, {"content": "\ude00b"}, {}) == [
        {"content": "a"},
        {"content": "😀b"},
        {},
    ]


def test_a_half_that_stays_alone_comes_with_the_end() -> None:
    assert streamed({"content": "a\ud83d"}, {}) == [{"content": "a"}, {"content": "\ufffd"}]
    assert streamed({"content": "\ud83d"}, {"content": "b"}) == [
        {"content": ""},
        {"content": "\ufffdb"},
    ]


def test_arguments_of_a_call_are_mended_across_events() -> None:
    pieces = ['{"command": "ls \\ud8', "3d \\u00", '00"', "}"]
    deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": p}}]} for p in pieces]

    found = streamed(*deltas, {})

    said = [call["function"]["arguments"] for d in found for call in d.get("tool_calls", ())]
    assert json.loads("".join(said)) == {"command": "ls \ufffd \ufffd"}


@pytest.mark.parametrize(
    ("delta", "found"),
    [
        (None, {}),
        ({"content": [{"type": "text", "text": "a"}]}, {"content": "a"}),
        ({"content": 5}, {"content": "5"}),
        (
            {"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]},
        ),
        (
            {"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": None}}]},
            {"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": ""}}]},
        ),
        ({"tool_calls": "x"}, {"tool_calls": []}),
        ({"reasoning": "\ud83d"}, {"reasoning": "\ufffd"}),
    ],
)
def test_a_delta_is_in_form_whatever_it_came_as(delta: Any, found: Any) -> None:
    assert streamed(delta) == [found]


@pytest.mark.fuzz
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=2), max_size=4))
def test_whatever_a_stream_says_agents_can_read_it(deltas: list[dict[str, Any]]) -> None:
    for delta in streamed(*deltas, {}):
        for name in ("content", "reasoning"):
            said = delta.get(name)
            assert said is None or said == writable(said)
