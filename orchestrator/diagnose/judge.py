"""One answer: is it a call that an agent can use, and if not, in which way is it broken? Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.diagnose.dialects import control_token_in, dialect_of, padding_in
from orchestrator.diagnose.protocols import FORM_OF, commands_in
from orchestrator.endpoint.answers import normalise
from orchestrator.endpoint.fields import TOO_BUSY, error_text, is_swallowed, why_no_completion
from orchestrator.endpoint.thoughts import strip_reasoning, strip_thoughts
from orchestrator.endpoint.tool_calls import CallProblem, check_call
from orchestrator.errors import one_line
from orchestrator.scripted.protocols import Protocol
from orchestrator.text import printable

HTTP_OK = 200
NOT_OF_THE_REQUEST = (401, 403, 404, 407, 408, 425, *TOO_BUSY)
"""What says that somebody may not ask, or not now, or not there: no word about what was asked."""


class Kind(StrEnum):
    """What an answer is. The words stand in the table."""

    VALID = "valid"
    UNKNOWN_TOOL = "unknown tool"
    MISSING = "missing parameters"
    WRONG = "wrong parameters"
    NO_CALL = "no call"
    SEVERAL = "several commands"
    RAW_TEXT = "raw tool text"
    CONTROL = "control tokens"
    EMPTY = "empty"
    SWALLOWED = "swallowed"
    CUT_OFF = "cut off"
    REFUSED = "refused"
    NO_ANSWER = "no answer"

    @property
    def is_judged(self) -> bool:
        """Whether it says anything of the model and its server's parsers, so that it counts in a
        rate. The others are limits, settings and outages."""
        return self not in (Kind.CUT_OFF, Kind.REFUSED, Kind.NO_ANSWER)


@dataclass(frozen=True)
class Answered:
    """A request and what came of it."""

    request: dict[str, Any]
    status: int
    """HTTP's; 0 where nothing came."""
    answer: Any
    """Parsed JSON, as the server sent it; None where it is none."""
    words: str = ""
    """Why nothing came, or what an answer says that is no JSON."""


@dataclass(frozen=True)
class Judgement:
    kind: Kind
    detail: str = ""
    """In words, for people and for the model that is asked again."""
    dialect: str = ""
    """Of raw tool text, also of some beside a valid call: its name in `dialects`."""
    calls: int = 0
    """Calls or commands in the answer."""


def seen_by_agent(answer: Mapping[str, Any], *, strips: bool) -> dict[str, Any]:
    """The message of a completion as the gateway would hand it on. `strips`: without thoughts."""
    brought: dict[str, Any] = copy.deepcopy(dict(answer))
    normalise(brought)
    message: dict[str, Any] = brought["choices"][0]["message"]
    if strips:
        strip_reasoning(message)
    return message


def judge(
    exchange: Answered,
    protocol: Protocol,
    tools: Sequence[Mapping[str, Any]],
    *,
    strips: bool = False,
) -> Judgement:
    """`tools` are those that the request told of; `strips` is the profile's `reasoning: strip`."""
    answer = exchange.answer
    if exchange.status != HTTP_OK:
        words = exchange.words or one_line(error_text(answer), 200)
        is_refusal = 400 <= exchange.status < 500 and exchange.status not in NOT_OF_THE_REQUEST
        status = f"HTTP {exchange.status}: " if exchange.status else ""
        kind = Kind.REFUSED if is_refusal else Kind.NO_ANSWER
        return Judgement(kind, printable(f"{status}{words}"))
    if why := why_no_completion(answer):
        return Judgement(Kind.NO_ANSWER, printable(exchange.words or why))
    raw = answer["choices"][0].get("message") or {}
    message = seen_by_agent(answer, strips=strips)
    found = _judge_message(raw, message, protocol, tools)
    if found.kind in (Kind.VALID, Kind.CONTROL):
        return found
    if answer["choices"][0].get("finish_reason") == "length":
        return Judgement(Kind.CUT_OFF, "it ended at the limit of tokens", calls=found.calls)
    if is_swallowed({**answer, "choices": [{"message": seen_by_agent(answer, strips=False)}]}):
        return Judgement(Kind.SWALLOWED, "all of it was taken for thought")
    return found


def _judge_message(
    raw: Mapping[str, Any],
    message: Mapping[str, Any],
    protocol: Protocol,
    tools: Sequence[Mapping[str, Any]],
) -> Judgement:
    content = str(message.get("content") or "")
    calls = message.get("tool_calls") or []
    said = strip_thoughts(content)
    read = (*_texts(_without_thoughts(raw)), said)
    if padding := _first(padding_in, read):
        return Judgement(Kind.CONTROL, f"it holds {padding}", calls=len(calls))
    if protocol is Protocol.CALLS and not calls and dialect_of(said):
        return _judge_prose(said)
    if token := _first(control_token_in, read):
        return Judgement(Kind.CONTROL, f"it holds {token}", calls=len(calls))
    if not content.strip() and not calls:
        return Judgement(Kind.EMPTY, "it is empty")
    if not said.strip() and not calls:
        return Judgement(Kind.SWALLOWED, "it ends within a thought")
    if protocol is Protocol.CALLS:
        return _judge_calls(said, calls, tools) if calls else _judge_prose(said)
    return _judge_text(content, said, protocol)


def _first(find: Callable[[str], str], texts: Iterable[str]) -> str:
    return next(filter(None, map(find, texts)), "")


def _judge_text(content: str, said: str, protocol: Protocol) -> Judgement:
    commands = commands_in(content, protocol)
    if len(commands) > 1 and not FORM_OF[protocol].takes_several:
        return Judgement(Kind.SEVERAL, f"it holds {len(commands)} commands", calls=len(commands))
    if commands and commands[-1]:
        return Judgement(Kind.VALID, calls=len(commands))
    return _judge_prose(said)


def _judge_prose(said: str) -> Judgement:
    """A text that holds nothing which can be used."""
    if dialect := dialect_of(said):
        return Judgement(
            Kind.RAW_TEXT, f"it holds a call as text, in {dialect.name} form", dialect.name
        )
    return Judgement(Kind.NO_CALL, "it holds no call")


def _judge_calls(
    said: str, calls: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> Judgement:
    """The first call that is wrong speaks for all. `said` stands beside them."""
    for call in calls:
        function = call["function"]
        dialect = dialect_of(f"{function['name']} {function['arguments']}")
        if dialect and dialect.parser:
            detail = f"a call holds pieces in {dialect.name} form"
            return Judgement(Kind.RAW_TEXT, detail, dialect.name, len(calls))
        name, arguments = function["name"], function["arguments"]
        # all that is asked here needs parameters with something in them
        problem, detail = check_call(name, arguments, tools, blank_is_given=False)
        if problem is not None:
            return Judgement(KIND_OF[problem], detail, calls=len(calls))
    beside = dialect_of(said)
    return Judgement(Kind.VALID, dialect=beside.name if beside else "", calls=len(calls))


KIND_OF = {
    CallProblem.UNKNOWN_TOOL: Kind.UNKNOWN_TOOL,
    CallProblem.MISSING: Kind.MISSING,
    CallProblem.WRONG: Kind.WRONG,
    CallProblem.MALFORMED: Kind.WRONG,
}


def _without_thoughts(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What of a message is meant to be read: thoughts may speak of anything."""
    read = {name: raw.get(name) for name in ("content", "tool_calls", "function_call")}
    if isinstance(read["content"], str):
        read["content"] = strip_thoughts(read["content"])
    return read


def _texts(tree: Any) -> Iterator[str]:
    """Every text of parsed JSON, and of JSON within: NUL in arguments is an escape there."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, str):
            yield node
            if "\\u00" in node:
                left.append(_inner(node))
        elif isinstance(node, dict):
            left += node.values()
        elif isinstance(node, list):
            left += node


def _inner(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
