"""Does a call of a function fit what was offered, and if not, in which way is it broken? Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from orchestrator.endpoint.answers import NAMELESS
from orchestrator.endpoint.parameters import find_fault
from orchestrator.errors import one_line
from orchestrator.text import printable

MAX_NAME = 60
MAX_DETAIL = 200
NO_PARAMETERS = {"type": "object", "properties": {}}


class CallProblem(StrEnum):
    """In which way a call is broken. The words stand in journals and reports."""

    UNKNOWN_TOOL = "unknown tool"
    MISSING = "missing parameters"
    WRONG = "wrong parameters"
    MALFORMED = "malformed"
    """Its arguments are no JSON object."""
    NO_CALL = "no call"
    """Functions were offered, and the answer calls none."""
    CUT_OFF = "cut off"
    """The answer ended at the limit of tokens before a call was whole."""


Found = tuple[CallProblem | None, str]
"""What is wrong with a call, and that in words; None and no words where nothing is."""


def check_answer(
    calls: Sequence[Any], finish_reason: str, tools: Sequence[Mapping[str, Any]]
) -> list[Found]:
    """What is wrong with each call of an answer to a request with `tools`, or with it having none.

    `calls` are the message's `tool_calls`, whatever they hold.
    """
    is_cut = finish_reason == "length"
    if not calls:
        return [(CallProblem.CUT_OFF if is_cut else CallProblem.NO_CALL, "")]
    found = [check_call(*_name_and_arguments(call), tools) for call in calls]
    if is_cut and found[-1][0] is not None:
        found[-1] = (CallProblem.CUT_OFF, found[-1][1])
    return found


def check_call(
    name: str,
    arguments: str,
    tools: Sequence[Mapping[str, Any]],
    *,
    blank_is_given: bool = True,
) -> Found:
    """`arguments` are JSON; `tools` are those that the request offered, as a request has them.
    `blank_is_given` as in `find_fault`."""
    schemas = dict(_named_schemas(tools))
    if name == NAMELESS or name not in schemas:
        return CallProblem.UNKNOWN_TOOL, f"there is no tool {_word(name)!r}"
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        return CallProblem.MALFORMED, _in_a_line(f"the arguments of {name} are no JSON")
    if not isinstance(given, dict):
        return CallProblem.MALFORMED, _in_a_line(f"the arguments of {name} are no object")
    fault = find_fault(given, schemas[name], blank_is_given=blank_is_given)
    if fault is None:
        return None, ""
    if not fault.path:
        problem = CallProblem.MISSING if fault.missing else CallProblem.WRONG
        return problem, _in_a_line(f"{name} {fault.words}")
    place = ".".join(map(_word, fault.path))
    return CallProblem.WRONG, _in_a_line(f"{place} of {name} {fault.words}")


def _name_and_arguments(call: object) -> tuple[str, str]:
    """Of a call that the gateway has brought into form; what it has not holds neither."""
    function = call.get("function") if isinstance(call, dict) else None
    given = function if isinstance(function, dict) else {}
    name, arguments = given.get("name"), given.get("arguments")
    return (
        name if isinstance(name, str) else NAMELESS,
        arguments if isinstance(arguments, str) else "",
    )


def _named_schemas(tools: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Functions' names, and the schemas of their parameters; without one, there are none."""
    for tool in tools:
        function = tool.get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"], function.get("parameters") or NO_PARAMETERS


def _word(name: str) -> str:
    """A name that a model made up, so that it can stand in a line."""
    return printable(one_line(name, MAX_NAME))


def _in_a_line(words: str) -> str:
    return printable(one_line(words, MAX_DETAIL))
