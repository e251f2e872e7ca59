"""What servers answer, in the one form that every agent can read.

Whatever a model says is the model's doing, and no failure. The content is text, calls are a list of
functions with a name and arguments in JSON, and no text holds what neither files nor shells can
(`text.writable`). It is done once, at the gateway's door.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.endpoint.fields import REASONING
from orchestrator.text import is_writable, writable

TEXT_FIELDS = ("content", *REASONING)
"""Of a message, and of a stream's delta."""
MAX_DEPTH = 4
"""Of parts within parts of a content."""
_PART_KEYS = {"type", "text", "value"}
NAMELESS = "nothing"
"""The name of a function that the model did not name: agents tell it that there is none such."""
_ESCAPE = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))|\\.",
    re.DOTALL,
)
_UNFINISHED_ESCAPE = re.compile(
    r"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)\Z"
)


def read_json(raw: bytes) -> tuple[Any, bool]:
    """What it says, and whether strict parsers read it too.

    Sloppy servers write bytes that are no UTF-8, and control characters as they are. None, and
    true, for what is no JSON at all.
    """
    try:
        return json.loads(raw), True
    except RecursionError:
        return None, True
    except ValueError:
        pass
    try:
        return json.loads(raw.decode("utf-8", "replace"), strict=False), False
    except (ValueError, RecursionError):
        return None, True


def mend_strings(tree: Any) -> bool:
    """Make every text of parsed JSON writable, in place; whether any was not."""
    changed, left = False, [tree]
    while left:
        node = left.pop()
        for key, value in _items(node):
            if isinstance(value, dict | list):
                left.append(value)
            elif isinstance(value, str) and not is_writable(value):
                node[key] = writable(value)
                changed = True
    return changed


def normalise(answer: dict[str, Any]) -> bool:
    """Bring a completion (`fields.why_no_completion`) into form, in place; whether it was not."""
    changed = mend_strings(answer)
    for choice in answer["choices"]:
        if choice.get("message") is None:
            choice["message"] = {}
            changed = True
        changed |= _normalise_message(choice["message"])
    return changed


def _normalise_message(message: dict[str, Any]) -> bool:
    changed = _normalise_texts(message)
    if not isinstance(message.get("role"), str):
        message["role"] = "assistant"
        changed = True
    if "content" not in message:
        message["content"] = None
        changed = True
    old = message.get("function_call")  # what calls were before there could be several
    if isinstance(old, dict) and not message.get("tool_calls"):
        message["tool_calls"] = [{"function": dict(old)}]
    if not message.get("tool_calls"):
        return changed
    changed |= _normalise_calls(message)
    for number, call in enumerate(message["tool_calls"]):
        changed |= _name_call(call, number)
    return changed


def _normalise_texts(message: dict[str, Any]) -> bool:
    """Content and reasoning of a message, or of a stream's delta, each as one text or None."""
    changed = False
    for name in TEXT_FIELDS:
        said = message.get(name)
        if said is None or isinstance(said, str):
            continue
        changed = True
        parts = said if isinstance(said, list) else [said]
        message[name] = "".join(_text_of(part) for part in parts if not _is_thought(part))
        thoughts = "".join(_text_of(part["thinking"]) for part in parts if _is_thought(part))
        if thoughts and not message.get(REASONING[0]):
            message[REASONING[0]] = thoughts
    return changed


def _is_thought(part: Any) -> bool:
    """Whether a part of a content is what Mistral's servers write thoughts as."""
    return isinstance(part, dict) and "thinking" in part


def _text_of(part: Any, depth: int = 0) -> str:
    """The text of a part of a content; empty where it has none, such as an image."""
    if isinstance(part, str):
        return part
    if part is None or depth > MAX_DEPTH:
        return ""
    if isinstance(part, list):
        return "".join(_text_of(one, depth + 1) for one in part)
    if isinstance(part, dict) and not _PART_KEYS.isdisjoint(part):
        texts = (part.get(key) for key in ("text", "value", "refusal"))
        return "".join(_text_of(text, depth + 1) for text in texts)
    return json.dumps(part)


def _normalise_calls(message: dict[str, Any]) -> bool:
    """Calls of a message, or of a stream's delta, as a list of objects with JSON arguments."""
    found = message["tool_calls"]
    calls = found if isinstance(found, list) else [found]
    calls = [call for call in calls if isinstance(call, dict)]
    changed = bool(calls != found)
    if changed:
        message["tool_calls"] = calls
    for call in calls:
        if not isinstance(call.get("function"), dict):
            call["function"] = {}
            changed = True
        function = call["function"]
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and (mended := writable(name)) != name:
            function["name"] = mended
            changed = True
        if "arguments" in function and not isinstance(arguments, str):
            function["arguments"] = "" if arguments is None else json.dumps(arguments)
            changed = True
    return changed


def _name_call(call: dict[str, Any], number: int) -> bool:
    """Give a whole call what it lacks; whether it lacked anything."""
    function = call["function"]
    arguments = mend_escapes(function.get("arguments") or "{}")
    given: list[tuple[dict[str, Any], str, str]] = [(function, "arguments", arguments)]
    for holder, key, default in (
        (function, "name", NAMELESS),
        (call, "id", f"call_{number}"),
        (call, "type", "function"),
    ):
        value = holder.get(key)
        given.append((holder, key, value if isinstance(value, str) and value else default))
    changed = any(holder.get(key) != value for holder, key, value in given)
    for holder, key, value in given:
        holder[key] = value
    return changed


def mend_escapes(text: str) -> str:
    """JSON within a text, in which NUL and half a surrogate pair are written as escapes."""
    if "\\u" not in text:
        return text
    return _ESCAPE.sub(lambda found: "\\ufffd" if found[2] else found[0], text)


@dataclass
class Pieces:
    """One text of a stream, piece by piece; half a character waits for its other half."""

    is_json: bool = False
    """The text is JSON, such as a call's arguments: escapes in it are mended too."""
    _held: str = ""

    def add(self, piece: str) -> str:
        """What can be handed on now."""
        text = self._held + piece
        cut = len(text)
        if "\ud800" <= text[-1:] <= "\udbff":  # the first half of a pair
            cut -= 1
        elif self.is_json and (escape := _UNFINISHED_ESCAPE.search(text)):
            cut = escape.start(1)
        self._held = text[cut:]
        return self._mend(text[:cut])

    def end(self) -> str:
        """What was still held."""
        rest, self._held = self._held, ""
        return self._mend(rest)

    def _mend(self, text: str) -> str:
        return mend_escapes(writable(text)) if self.is_json else writable(text)


@dataclass
class StreamedChoice:
    """Brings the deltas of one choice of a stream into form."""

    _pieces: dict[str, Pieces] = field(default_factory=dict)
    """By field, or by a call's index."""

    def take(self, choice: dict[str, Any]) -> bool:
        """The next event's choice, in place; whether anything was changed.

        The one with a finish_reason is the last, and gets what was held.
        """
        if not isinstance(choice.get("delta"), dict):
            choice["delta"] = {}
        delta = choice["delta"]
        changed = _normalise_texts(delta)
        if delta.get("tool_calls"):
            changed |= _normalise_calls(delta)
        for place, holder, key in _texts_of(delta):
            piece = self._of(place).add(holder[key])
            changed |= piece != holder[key]
            holder[key] = piece
        if choice.get("finish_reason") is not None:
            changed |= self._end(delta)
        return changed

    def _of(self, place: str) -> Pieces:
        if place not in self._pieces:
            self._pieces[place] = Pieces(is_json=place not in TEXT_FIELDS)
        return self._pieces[place]

    def _end(self, delta: dict[str, Any]) -> bool:
        changed = False
        for place, pieces in self._pieces.items():
            if not (rest := pieces.end()):
                continue
            changed = True
            if place in TEXT_FIELDS:
                delta[place] = (delta.get(place) or "") + rest
            else:
                call = {"index": json.loads(place), "function": {"arguments": rest}}
                delta["tool_calls"] = [*(delta.get("tool_calls") or []), call]
        return changed


def _texts_of(delta: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every text of a delta: which one of the answer it is a piece of, and where it stands."""
    for name in TEXT_FIELDS:
        if isinstance(delta.get(name), str):
            yield name, delta, name
    for call in delta.get("tool_calls") or []:
        if "arguments" in call["function"]:
            yield json.dumps(call.get("index")), call["function"], "arguments"


def _items(node: Any) -> Any:
    return list(node.items()) if isinstance(node, dict) else enumerate(node)
