"""What is wrong with a call, whatever a model and a schema say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.endpoint.answers import NAMELESS, normalise
from orchestrator.endpoint.tool_calls import MAX_DETAIL, CallProblem, check_answer, check_call

UNKNOWN, MISSING, WRONG = CallProblem.UNKNOWN_TOOL, CallProblem.MISSING, CallProblem.WRONG
MALFORMED, NO_CALL, CUT_OFF = CallProblem.MALFORMED, CallProblem.NO_CALL, CallProblem.CUT_OFF


def tool(name: str, parameters: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name} | ({} if parameters is None else {"parameters": parameters})
    return {"type": "function", "function": function | more}


def takes(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)} | more


TEXT: dict[str, Any] = {"type": "string"}
BASH = tool("bash", takes({"command": TEXT, "timeout": {"type": "integer"}}, "command"))
VIEW_RANGE = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
EDITOR = tool(
    "str_replace_editor",
    takes(
        {
            "command": TEXT | {"enum": ["view", "create"]},
            "path": TEXT,
            "file_text": {"anyOf": [TEXT, {"type": "null"}], "default": None},
            "view_range": {"anyOf": [VIEW_RANGE, {"type": "null"}]},
        },
        *("command", "path"),
        additionalProperties=False,
    ),
)
SUBMIT = tool("submit", {"type": "object", "properties": {}, "required": []})
BARE = tool("finish")
TOOLS = (BASH, EDITOR, SUBMIT, BARE)
VIEW = {"command": "view", "path": "/a.py"}

CALLS = {
    "all that is needed": ("bash", {"command": "ls"}, None),
    "a blank text, which some tools take": ("bash", {"command": ""}, None),
    "null for what is optional": ("bash", {"command": "ls", "timeout": None}, None),
    "a whole number as 3.0": ("bash", {"command": "ls", "timeout": 3.0}, None),
    "null where a schema says so": ("str_replace_editor", VIEW | {"file_text": None}, None),
    "a list in bounds": ("str_replace_editor", VIEW | {"view_range": [1, -1]}, None),
    "no parameters where there are none": ("submit", {}, None),
    "no parameters where none are told of": ("finish", {}, None),
    "the same key twice": ("bash", '{"command": 1, "command": "ls"}', None),
    "a tool of another framework": ("execute_bash", {"command": "ls"}, UNKNOWN),
    "a name in capitals": ("Bash", {"command": "ls"}, UNKNOWN),
    "no name": (NAMELESS, {}, UNKNOWN),
    "a name of 10 kB": ("x" * 10_000, {}, UNKNOWN),
    "a name with half a character": ("ba\ud83dsh", {}, UNKNOWN),
    "a name that turns the line": ("\u202ebash\x1b[2J", {}, UNKNOWN),
    "nothing": ("bash", {}, MISSING),
    "null for what is needed": ("bash", {"command": None}, MISSING),
    "one of two": ("str_replace_editor", {"command": "view"}, MISSING),
    "another name for it": ("bash", {"cmd": "ls"}, MISSING),
    "a number as a text": ("bash", {"command": "ls", "timeout": "30"}, WRONG),
    "true for a number": ("bash", {"command": "ls", "timeout": True}, WRONG),
    "NaN for an integer": ("bash", '{"command": "ls", "timeout": NaN}', WRONG),
    "infinity for an integer": ("bash", '{"command": "ls", "timeout": 1e999}', WRONG),
    "none of the choices": ("str_replace_editor", VIEW | {"command": "open"}, WRONG),
    "a list for a choice": ("str_replace_editor", VIEW | {"command": [["view"]]}, WRONG),
    "a list that is too short": ("str_replace_editor", VIEW | {"view_range": [1]}, WRONG),
    "a list of texts": ("str_replace_editor", VIEW | {"view_range": ["1", "2"]}, WRONG),
    "one more parameter": ("bash", {"command": "ls", "reason": "to see"}, WRONG),
    "one more in a closed schema": ("str_replace_editor", VIEW | {"x": 1}, WRONG),
    "one where there are none": ("submit", {"message": "done"}, WRONG),
    "one where none are told of": ("finish", {"message": "done"}, WRONG),
    "no JSON": ("bash", '{"command": "ls', MALFORMED),
    "nothing at all": ("bash", "", MALFORMED),
    "a list": ("bash", ["ls"], MALFORMED),
    "a text": ("bash", "ls", MALFORMED),
    "null": ("submit", None, MALFORMED),
    "JSON in JSON": ("bash", json.dumps(json.dumps({"command": "ls"})), MALFORMED),
    "Python's own form": ("bash", "{'command': 'ls'}", MALFORMED),
    "a number of 10,000 digits": ("bash", '{"timeout": ' + "9" * 10_000 + "}", MALFORMED),
    "nested without end": ("bash", '{"command": ' + "[" * 200_000, MALFORMED),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name: str) -> None:
    called, arguments, problem = CALLS[name]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)

    found, detail = check_call(called, text, TOOLS)

    assert found is problem, detail
    assert bool(detail) == (problem is not None)
    assert detail.isprintable()
    assert len(detail) <= MAX_DETAIL


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("str_replace_editor", {"command": "view"}, "str_replace_editor lacks path"),
        ("str_replace_editor", {}, "str_replace_editor lacks command, path"),
        ("edit", {}, "there is no tool 'edit'"),
        ("bash", {"command": 3}, "command of bash is no string"),
        ("bash", {"command": "ls", "why": "so"}, "why of bash is no parameter of it"),
        ("bash", [], "the arguments of bash are no object"),
        (
            "str_replace_editor",
            VIEW | {"command": "open"},
            "command of str_replace_editor is 'open', which is none of 'view', 'create'",
        ),
        (
            "str_replace_editor",
            VIEW | {"view_range": [1, "x"]},
            "view_range of str_replace_editor holds what is no integer",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(name: str, arguments: Any, words: str) -> None:
    assert check_call(name, json.dumps(arguments), TOOLS)[1] == words


TASKS = {
    "$defs": {
        "Item": takes({"title": TEXT, "status": {"const": "todo"}}, "title"),
        "Tree": takes({"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}),
        "a/b": TEXT,
    }
}
ITEMS = {"type": "array", "items": {"$ref": "#/$defs/Item"}}
SCHEMAS: dict[str, tuple[Any, Any, CallProblem | None]] = {
    "pydantic's list of models": (
        takes({"items": ITEMS}, "items") | TASKS,
        {"items": [{"title": "a", "status": "todo"}]},
        None,
    ),
    "a model in it lacks something": (
        takes({"items": ITEMS}, "items") | TASKS,
        {"items": [{"status": "todo"}]},
        WRONG,
    ),
    "a constant": (takes({"items": ITEMS}) | TASKS, {"items": [{"title": "", "status": 1}]}, WRONG),
    "all of it behind a reference": ({"$ref": "#/$defs/Item"} | TASKS, {"title": "a"}, None),
    "and something missing": ({"$ref": "#/$defs/Item"} | TASKS, {}, MISSING),
    "and something unknown": ({"$ref": "#/$defs/Item"} | TASKS, {"title": "a", "x": 1}, WRONG),
    "a name with a slash": (takes({"x": {"$ref": "#/$defs/a~1b"}}) | TASKS, {"x": 1}, WRONG),
    "needed and may be null": (
        takes({"x": {"anyOf": [TEXT, {"type": "null"}]}}, "x"),
        {"x": None},
        None,
    ),
    "needed, may be null and is not there": (
        takes({"x": {"anyOf": [TEXT, {"type": "null"}]}}, "x"),
        {},
        MISSING,
    ),
    "OpenAPI's way to say null": (takes({"x": TEXT | {"nullable": True}}, "x"), {"x": None}, None),
    "several types": (takes({"x": {"type": ["string", "null"]}}, "x"), {"x": None}, None),
    "none of several types": (takes({"x": {"type": ["string", "null"]}}), {"x": 1}, WRONG),
    "Google's capitals": (takes({"x": {"type": "STRING"}}), {"x": "a"}, None),
    "a type that nobody knows": (takes({"x": {"type": "file"}}), {"x": 1}, None),
    "one of two models": (
        {"anyOf": [takes({"a": TEXT}, "a"), takes({"b": TEXT}, "b")]},
        {"b": "x"},
        None,
    ),
    "neither of two models": (
        {"anyOf": [takes({"a": TEXT}, "a"), takes({"b": TEXT}, "b")]},
        {},
        MISSING,
    ),
    "one of two parameters is needed": (
        takes({"a": TEXT, "b": TEXT}, anyOf=[{"required": ["a"]}, {"required": ["b"]}]),
        {"b": "x"},
        None,
    ),
    "parts that all count": (
        {"allOf": [takes({"a": TEXT}, "a"), takes({"b": TEXT}, "b")]},
        {"a": "x"},
        MISSING,
    ),
    "any names": ({"type": "object"}, {"x": 1}, None),
    "any names of texts": (takes({}, additionalProperties=TEXT), {"x": 1}, WRONG),
    "names of a pattern": (takes({}, patternProperties={"^x": TEXT}), {"x": 1}, None),
    "more names than are told": (takes({"a": TEXT}, additionalProperties=True), {"x": 1}, None),
    "no schema at all": ({}, {"x": 1}, WRONG),
    "a bound": (takes({"x": {"type": "number", "exclusiveMinimum": 0}}), {"x": 0}, WRONG),
    "a bound that NaN is not held to": (takes({"x": {"minimum": 0}}), {"x": float("nan")}, None),
    "too long": (takes({"x": TEXT | {"maxLength": 2}}), {"x": "abc"}, WRONG),
    "a parameter that may not be": (takes({"x": False}), {"x": 1}, WRONG),
    "a parameter that may be anything": (takes({"x": True}), {"x": 1}, None),
    "items one by one": (takes({"x": {"items": [TEXT, TEXT]}}), {"x": [1]}, None),
    "a pattern that takes for ever": (
        takes({"x": TEXT | {"pattern": "^(a+)+$"}}),
        {"x": "a" * 5000 + "b"},
        None,
    ),
    "a reference to another host": (takes({"x": {"$ref": "https://h.test/s"}}), {"x": 1}, None),
    "a reference to nowhere": (takes({"x": {"$ref": "#/$defs/None"}}), {"x": 1}, None),
    "a schema that is a list": ([], {}, None),
    "a schema that is a text": ("object", {"x": 1}, None),
    "properties that are a list": ({"type": "object", "properties": ["x"]}, {}, None),
    "what is needed is a text": (takes({"x": TEXT}) | {"required": "x"}, {}, MISSING),
    "what is needed is a flag": (takes({"x": TEXT | {"required": True}}), {}, None),
    "choices that are none": (takes({"x": {"enum": "abc"}}), {"x": 1}, None),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_of_any_writer(name: str) -> None:
    schema, arguments, problem = SCHEMAS[name]

    found, detail = check_call("it", json.dumps(arguments), [tool("it", schema)])

    assert found is problem, detail


LOOP = {"$ref": "#/$defs/A"}
WINDING = {
    "a reference to itself": {"$ref": "#"},
    "two to each other": LOOP | {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": LOOP}},
    "branches of itself": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "required": ["y"]},
    "parts of itself": {"allOf": [{"$ref": "#"}] * 5, "properties": {"x": {"$ref": "#"}}},
    "members like itself": {"properties": {"x": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
    "other members like itself": {"additionalProperties": {"oneOf": [{"$ref": "#"}] * 9}},
    "items like itself": {"items": {"$ref": "#"}, "properties": {"x": {"$ref": "#"}}},
}
NESTED: Any = "end"
for _ in range(200):
    NESTED = {"x": NESTED}


@pytest.mark.slow
@pytest.mark.parametrize("name", WINDING)
def test_a_schema_that_goes_in_circles_comes_to_an_end(name: str) -> None:
    for arguments in ({}, {"x": [1, {"x": 2}]}, NESTED, {"x": [[]] * 50_000}):
        problem, detail = check_call("it", json.dumps(arguments), [tool("it", WINDING[name])])

        assert bool(detail) == (problem is not None)


LONG: dict[str, tuple[dict[str, Any], CallProblem | None]] = {
    "a text of 5 MB": ({"command": "x" * 5_000_000}, None),
    "a choice of 5 MB": ({"choice": "x" * 5_000_000}, WRONG),
    "a list for a choice": ({"choice": list(range(500_000))}, WRONG),
    "a list of 500,000": ({"numbers": list(range(500_000))}, None),
    "a wrong one behind all that is looked at": ({"numbers": [*range(500_000), "x"]}, None),
    "100,000 parameters": ({f"parameter_{n}": n for n in range(100_000)}, WRONG),
    "a name of 5 MB": ({"x" * 5_000_000: 1}, WRONG),
}
LARGE = tool(
    "it",
    takes(
        {
            "command": TEXT,
            "choice": {"enum": ["a", "b"]},
            "numbers": {"type": "array", "items": {"type": "integer"}},
        }
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_arguments_of_any_length_are_judged(name: str) -> None:
    arguments, problem = LONG[name]

    found, detail = check_call("it", json.dumps(arguments), [LARGE])

    assert found is problem
    assert len(detail) <= MAX_DETAIL


def called(name: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


def problems(calls: Any, finish_reason: str = "tool_calls") -> list[CallProblem | None]:
    return [problem for problem, _ in check_answer(calls, finish_reason, TOOLS)]


def test_every_call_of_an_answer_is_judged_by_itself() -> None:
    assert problems([called("submit"), called("bash"), called("open")]) == [None, MISSING, UNKNOWN]


def test_an_answer_without_a_call_where_one_was_asked_for_counts_as_one() -> None:
    assert problems([], "stop") == [NO_CALL]


def test_an_answer_that_ends_at_the_limit_of_tokens_is_cut_off_and_not_the_models_mistake() -> None:
    assert problems([], "length") == [CUT_OFF]
    assert problems([called("bash", '{"comm')], "length") == [CUT_OFF]
    assert problems([called("bash"), called("bash")], "length") == [MISSING, CUT_OFF]
    assert problems([called("submit")], "length") == [None], "it was whole"


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([None], UNKNOWN),
        (["bash"], UNKNOWN),
        ([{}], UNKNOWN),
        ([{"function": None}], UNKNOWN),
        ([{"function": {"name": 3, "arguments": "{}"}}], UNKNOWN),
        ([{"function": {"name": "bash"}}], MALFORMED),
        ([{"function": {"name": "bash", "arguments": {"command": "ls"}}}], MALFORMED),
    ],
)
def test_a_call_that_no_gateway_brought_into_form_is_judged_too(
    calls: Any, expected: CallProblem
) -> None:
    assert problems(calls) == [expected]


@pytest.mark.parametrize(
    "tools",
    [[{}], [{"type": "function"}], [{"function": "bash"}], [{"function": {"name": None}}], []],
)
def test_tools_that_say_nothing_know_no_call(tools: Any) -> None:
    assert check_answer([called("bash")], "", tools)[0][0] is UNKNOWN


WORD = st.sampled_from(["type", "properties", "required", "items", "anyOf", "$ref", "enum", "a"])
VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10**30)
    | st.floats()
    | st.sampled_from(["string", "object", "array", "#", "#/a", "a", "\ud83d", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.fuzz
@given(VALUE, VALUE)
def test_whatever_a_schema_and_a_call_say_the_call_is_judged(schema: Any, arguments: Any) -> None:
    function = {"name": "it", "arguments": arguments}
    answer = {"choices": [{"message": {"tool_calls": [{"function": function}]}}]}
    normalise(answer)

    ((problem, detail),) = check_answer(
        answer["choices"][0]["message"]["tool_calls"], "stop", [tool("it", schema)]
    )

    assert bool(detail) == (problem is not None)
    assert detail.isprintable()
