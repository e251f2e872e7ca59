"""What each kind of answer is judged to be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnose.judge import Answered, Judgement, Kind, judge, seen_by_agent
from orchestrator.diagnose.protocols import ask_again, go_on
from orchestrator.diagnose.tasks import Detail, fit, tools_for
from orchestrator.scripted.protocols import Protocol

TOOLS = tools_for(Detail.FULL)
LS = {"command": "ls"}
ANY = (Protocol.CALLS, TOOLS)


def call(name: str = "bash", arguments: Any = None, **more: Any) -> dict[str, Any]:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments or LS)
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": given}} | more


def judged(
    message: dict[str, Any],
    protocol: Protocol = Protocol.CALLS,
    finish: str = "stop",
    *,
    strips: bool = False,
    **usage: Any,
) -> Judgement:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    exchange = Answered({}, 200, {"choices": [choice], "usage": usage})
    return judge(exchange, protocol, TOOLS, strips=strips)


def calling(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "I look.", "tool_calls": list(calls)} | more


def saying(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": []} | more


VIEW = {"operation": "view", "path": "/workspace/project"}
CALLS = {
    "a call": (calling(call()), Kind.VALID),
    "a call without a word": (calling(call(), content=None), Kind.VALID),
    "optional parameters": (
        calling(call("file_editor", VIEW | {"view_range": [1, 20]})),
        Kind.VALID,
    ),
    "null for what is optional": (
        calling(call("file_editor", VIEW | {"old_text": None})),
        Kind.VALID,
    ),
    "whole numbers as 3.0": (calling(call("bash", LS | {"timeout_s": 3.0})), Kind.VALID),
    "arguments as an object": (
        calling({"function": {"name": "bash", "arguments": LS}}),
        Kind.VALID,
    ),
    "the old function_call": (
        saying("", function_call={"name": "bash", "arguments": json.dumps(LS)}),
        Kind.VALID,
    ),
    "several calls": (calling(call(), call("think", {"thought": "hm"})), Kind.VALID),
    "thought before a call": (calling(call(), content="<think>so</think>"), Kind.VALID),
    "no such tool": (calling(call("str_replace_editor")), Kind.UNKNOWN_TOOL),
    "no name": (calling({"function": {"arguments": "{}"}}), Kind.UNKNOWN_TOOL),
    "a control character in a name": (calling(call("ba\x1b[2Jsh")), Kind.UNKNOWN_TOOL),
    "no parameters": (calling(call("bash", "{}")), Kind.MISSING),
    "one of two is missing": (calling(call("file_editor", {"operation": "view"})), Kind.MISSING),
    "null for what is required": (calling(call("bash", {"command": None})), Kind.MISSING),
    "blank for what is required": (calling(call("bash", {"command": " "})), Kind.MISSING),
    "the second call lacks some": (calling(call(), call("search", "{}")), Kind.MISSING),
    "no JSON": (calling(call("bash", '{"command": "ls')), Kind.WRONG),
    "a list": (calling(call("bash", '["ls"]')), Kind.WRONG),
    "JSON in JSON": (calling(call("bash", json.dumps(json.dumps(LS)))), Kind.WRONG),
    "a number as text": (calling(call("bash", LS | {"timeout_s": "30"})), Kind.WRONG),
    "true for a number": (calling(call("bash", LS | {"timeout_s": True})), Kind.WRONG),
    "none of the choices": (calling(call("file_editor", VIEW | {"operation": "open"})), Kind.WRONG),
    "a list of texts": (calling(call("file_editor", VIEW | {"view_range": ["1"]})), Kind.WRONG),
    "a parameter of its own": (calling(call("bash", LS | {"cmd": "ls"})), Kind.WRONG),
    "a call of another form left": (saying("<tool_call>\n{}</tool_call>"), Kind.RAW_TEXT),
    "pieces of a call inside one": (
        calling(call("bash", {"command": "ls</parameter>\n</function>"})),
        Kind.RAW_TEXT,
    ),
    "a raw call behind thoughts": (
        saying("<think>I call <pad></think><|tool_call>call:bash{}"),
        Kind.RAW_TEXT,
    ),
    "the end of a turn behind a raw call": (saying("[TOOL_CALLS]bash{}</s>"), Kind.RAW_TEXT),
    "prose": (saying("I would look at the file."), Kind.NO_CALL),
    "a fenced command": (saying("```\nls\n```"), Kind.NO_CALL),
    "padding in a call": (calling(call("bash", {"command": "l<pad><pad>s"})), Kind.CONTROL),
    "padding that broke a raw call": (saying('<tool_call>{"na<pad>me": "ba'), Kind.CONTROL),
    "NUL in an argument": (calling(call("bash", '{"command": "ls\\u0000"}')), Kind.CONTROL),
    "NUL in the content": (calling(call(), content="a\0b"), Kind.CONTROL),
    "unused tokens": (saying("<unused49><unused49>"), Kind.CONTROL),
    "padding in a name": (calling(call("bash<pad>")), Kind.CONTROL),
    "the end of a turn": (calling(call(), content="I look.<turn|>"), Kind.CONTROL),
    "the end of a text": (calling(call("bash", {"command": "ls<|im_end|>"})), Kind.CONTROL),
    "content in parts": (saying([{"type": "text", "text": "<eos>"}]), Kind.CONTROL),
    "nothing": (saying(""), Kind.EMPTY),
    "nothing at all": (saying(None), Kind.EMPTY),
    "blanks": (saying(" \n"), Kind.EMPTY),
    "a message that is null": (None, Kind.EMPTY),
    "all taken for thought": (saying(None, reasoning="I call bash"), Kind.SWALLOWED),
    "an older server's thought": (saying("", reasoning_content="I call"), Kind.SWALLOWED),
    "a thought without end": (saying("<think>I should look"), Kind.SWALLOWED),
    "a thought and no answer": (saying("<think>I look</think>\n"), Kind.SWALLOWED),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_to_a_request_with_tools(name: str) -> None:
    message, kind = CALLS[name]

    found = judged(message)

    assert found.kind is kind, found.detail
    assert found.detail or kind is Kind.VALID
    assert found.detail.isprintable()


TEXTS = {
    "a fenced command": (Protocol.THOUGHT_ACTION, "I look.\n\n```\nls\n```", Kind.VALID),
    "a language behind the fence": (Protocol.THOUGHT_ACTION, "So:\n```bash\nls\n```", Kind.VALID),
    "two blocks": (Protocol.THOUGHT_ACTION, "```\nls\n```\n```\npwd\n```", Kind.VALID),
    "no block": (Protocol.THOUGHT_ACTION, "I run `ls`.", Kind.NO_CALL),
    "an empty block": (Protocol.THOUGHT_ACTION, "```\n\n```", Kind.NO_CALL),
    "a block without end": (Protocol.THOUGHT_ACTION, "```\nls", Kind.NO_CALL),
    "tags": (Protocol.XML, "So.\n<command>\nls\n</command>", Kind.VALID),
    "tags without end": (Protocol.XML, "<command>ls", Kind.NO_CALL),
    "tags in the wrong order": (Protocol.XML, "</command>ls<command>", Kind.NO_CALL),
    "mini's block": (Protocol.MINI, "THOUGHT\n```mswea_bash_command\nls\n```", Kind.VALID),
    "two of mini's": (Protocol.MINI, "```mswea_bash_command\nls\n```\n" * 2, Kind.SEVERAL),
    "another block": (Protocol.MINI, "```bash\nls\n```", Kind.NO_CALL),
    "a call": (Protocol.MINI, '<tool_call>{"name": "bash"}</tool_call>', Kind.RAW_TEXT),
    "Gemma's own block": (Protocol.XML, "```tool_code\nls()\n```", Kind.RAW_TEXT),
    "padding in a command": (Protocol.XML, "<command>l<pad>s</command>", Kind.CONTROL),
    "nothing": (Protocol.MINI, "", Kind.EMPTY),
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_answer_in_text(name: str) -> None:
    protocol, content, kind = TEXTS[name]

    assert judged(saying(content), protocol).kind is kind


def test_several_calls_are_counted() -> None:
    assert judged(calling(call(), call())).calls == 2


def test_raw_text_is_named_by_its_dialect() -> None:
    assert judged(saying("<tool_call>\n<function=bash>")).dialect == "Qwen's (XML)"


def test_raw_text_beside_a_valid_call_is_noted() -> None:
    found = judged(calling(call(), content="<tool_call>{}</tool_call>"))

    assert (found.kind, found.dialect) == (Kind.VALID, "Hermes' (JSON)")


@pytest.mark.parametrize(
    "message",
    [
        saying("I think that"),
        saying(None, reasoning="I think that"),
        saying("<think>I think that"),
        saying('<tool_call>{"name": "ba'),
        calling(call("bash", '{"command": "ec')),
    ],
)
def test_an_answer_that_ends_at_the_limit_is_cut_off_whatever_it_holds(
    message: dict[str, Any],
) -> None:
    assert judged(message, finish="length").kind is Kind.CUT_OFF
    assert not Kind.CUT_OFF.is_judged


def test_a_call_that_is_whole_at_the_limit_is_valid() -> None:
    assert judged(calling(call()), finish="length").kind is Kind.VALID


def test_padding_up_to_the_limit_is_no_mere_cut() -> None:
    assert judged(saying("<pad>" * 50), finish="length").kind is Kind.CONTROL


def test_thoughts_are_left_out_where_the_profile_strips_them() -> None:
    """SWE-agent would take the last block; one within a thought is none."""
    content = "<think>\n```\nls\n```\n</think>I am done."

    assert judged(saying(content), Protocol.THOUGHT_ACTION).kind is Kind.VALID
    assert judged(saying(content), Protocol.THOUGHT_ACTION, strips=True).kind is Kind.NO_CALL


def test_reasoning_tokens_alone_tell_of_a_swallowed_answer() -> None:
    details = {"reasoning_tokens": 9}

    assert judged(saying(None), completion_tokens_details=details).kind is Kind.SWALLOWED


UNANSWERED = {
    "refused": (Answered({}, 400, {"error": {"message": "no tools"}}), Kind.REFUSED),
    "too large": (Answered({}, 413, None, "HTTP 413"), Kind.REFUSED),
    "no longer there": (Answered({}, 404, None, "HTTP 404"), Kind.NO_ANSWER),
    "its key has expired": (Answered({}, 401, None, "HTTP 401"), Kind.NO_ANSWER),
    "out of quota": (Answered({}, 429, None, "HTTP 429"), Kind.NO_ANSWER),
    "failed": (Answered({}, 500, {"error": {"message": "dead"}}), Kind.NO_ANSWER),
    "too busy": (Answered({}, 503, None, "busy"), Kind.NO_ANSWER),
    "nobody there": (Answered({}, 0, None, "connection refused"), Kind.NO_ANSWER),
    "a page": (Answered({}, 200, None, "the answer is no JSON: <html>"), Kind.NO_ANSWER),
    "no choices": (Answered({}, 200, {"choices": []}), Kind.NO_ANSWER),
    "a list": (Answered({}, 200, [1]), Kind.NO_ANSWER),
    "given up": (
        Answered({}, 200, {"choices": [{"message": {}, "finish_reason": "abort"}]}),
        Kind.NO_ANSWER,
    ),
    "an error in place of an answer": (
        Answered({}, 200, {"error": {"message": "over\x1bloaded"}}),
        Kind.NO_ANSWER,
    ),
}


@pytest.mark.parametrize("name", UNANSWERED)
def test_what_is_no_answer_counts_in_no_rate(name: str) -> None:
    exchange, kind = UNANSWERED[name]

    found = judge(exchange, Protocol.CALLS, TOOLS)

    assert found.kind is kind
    assert not kind.is_judged
    assert found.detail
    assert found.detail.isprintable()


SAID = ("<pad>", "<think>", "{}", '"\\u0000"', "\ud83d", "```\nls\n```")
TEXT = st.text() | st.sampled_from(SAID)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["command", "timeout_s", "x"]), JSON)
FUNCTION = st.fixed_dictionaries(
    {"name": st.sampled_from(["bash", "file_editor", ""]) | JSON},
    optional={"arguments": ARGUMENTS | ARGUMENTS.map(json.dumps) | JSON},
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": JSON,
        "content": TEXT | JSON,
        "tool_calls": st.lists(st.fixed_dictionaries({"function": FUNCTION | JSON})) | JSON,
        "function_call": FUNCTION | JSON,
        "reasoning": TEXT | JSON,
    },
)


@pytest.mark.slow
@pytest.mark.fuzz
@given(MESSAGE, st.sampled_from(["stop", "length", "tool_calls"]), st.sampled_from(list(Protocol)))
def test_whatever_an_answer_says_it_is_judged_and_the_conversation_goes_on(
    message: dict[str, Any], finish: str, protocol: Protocol
) -> None:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    exchange = Answered({}, 200, {"choices": [choice]})

    found = judge(exchange, protocol, TOOLS)

    seen = seen_by_agent(exchange.answer, strips=False)
    grown = (
        go_on(protocol, seen, fit(32768, 4.0))
        if found.kind is Kind.VALID
        else ask_again(seen, found.detail)
    )
    json.dumps(grown, ensure_ascii=False).encode()
    found.detail.encode()


@pytest.mark.fuzz
@given(st.integers(100, 599), JSON)
def test_whatever_a_server_sends_it_is_judged(status: int, answer: Any) -> None:
    found = judge(Answered({}, status, answer, "words" if answer is None else ""), *ANY)

    assert found.kind is not Kind.VALID
    assert found.detail
