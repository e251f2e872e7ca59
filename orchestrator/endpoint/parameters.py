"""Do a call's arguments fit the JSON Schema of its function? Pure.

Schemas are those that pydantic, OpenAI's clients and MCP servers write. What is read of them is
what an agent minds: types, choices, bounds, and which parameters there are and must be. A whole
validator is stricter where agents are not (a null for what is optional), laxer where they are
strict (parameters of the model's own), and may take for ever (patterns, references that go in
circles or to other hosts). What can't be told counts as fitting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import one_line

MAX_LOOKS = 10_000
"""At values and schemas, for one call: what lies behind them is not looked at."""
MAX_DEPTH = 50
UNKNOWN = "is no parameter of it"
_BRANCHES = ("anyOf", "oneOf")
_FREE = ("additionalProperties", "patternProperties", "unevaluatedProperties")
"""Where one of them stands and is not false, an object may have members that are not named."""


@dataclass(frozen=True)
class ParameterFault:
    """What is wrong with a value."""

    words: str
    """Behind the value's name, such as `is no integer`."""
    path: tuple[str, ...] = ()
    """From the whole to the value, its parameter first; empty: the whole is wrong."""
    missing: tuple[str, ...] = ()
    """What the object at `path` must have and has not."""


def find_fault(
    given: Mapping[str, Any], schema: object, *, blank_is_given: bool = True
) -> ParameterFault | None:
    """What is wrong with a call's arguments first; None where nothing is.

    A null is as good as nothing, unless the schema asks for it. So is a blank text where
    `blank_is_given` is false. A parameter that the schema does not name is a fault, unless the
    schema lets any name pass.
    """
    if not blank_is_given:
        given = {k: v for k, v in given.items() if not (isinstance(v, str) and not v.strip())}
    look = _Look(schema)
    known = look.names(schema)
    if (fault := look.fault(given, schema)) is not None:
        return fault
    if known is None:
        return None
    unknown = (name for name, value in given.items() if name not in known and value is not None)
    return next((ParameterFault(UNKNOWN, (name,)) for name in unknown), None)


class _Look:
    """One look at a call, with an end: at most MAX_LOOKS values, however schema and value wind."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MAX_LOOKS

    def fault(self, value: Any, schema: object, depth: int = 0) -> ParameterFault | None:
        """What is wrong with a value first."""
        self._left -= 1
        if schema is False:
            return ParameterFault("is not allowed")
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._left < 0:
            return None
        if value is None and schema.get("nullable") is True:
            return None
        if problem := _problem(value, schema):
            return ParameterFault(problem)
        for part in self._all_of(schema):
            if (fault := self.fault(value, part, depth + 1)) is not None:
                return fault
        for key in _BRANCHES:
            if (fault := self._fault_of_branches(value, schema.get(key), depth)) is not None:
                return fault
        if isinstance(value, dict):
            return self._fault_of_object(value, schema, depth)
        return self._fault_of_list(value, schema, depth) if isinstance(value, list) else None

    def _fault_of_branches(self, value: Any, branches: object, depth: int) -> ParameterFault | None:
        """None where one of them fits; else what is wrong with the one that comes nearest."""
        if not isinstance(branches, list) or not branches:
            return None
        faults = []
        for branch in branches:
            fault = self.fault(value, branch, depth + 1)
            if fault is None:
                return None
            faults.append(fault)
        return max(faults, key=lambda fault: (len(fault.path), bool(fault.missing)))

    def _fault_of_object(
        self, value: dict[str, Any], schema: dict[str, Any], depth: int
    ) -> ParameterFault | None:
        properties = _mapping(schema.get("properties"))
        missing = tuple(
            key
            for key in _texts(schema.get("required"))
            if value.get(key) is None and self._is_needed(key, value, properties, depth)
        )
        if missing:
            return ParameterFault(f"lacks {', '.join(missing)}", missing=missing)
        others = schema.get("additionalProperties", True)
        if schema.get("patternProperties"):
            others = True
        for key, member in value.items():
            if self._left < 0:
                return None
            if member is None or (key not in properties and others is True):
                continue
            wanted = properties.get(key, others)
            if wanted is False:
                return ParameterFault(UNKNOWN, (key,))
            if (fault := self.fault(member, wanted, depth + 1)) is not None:
                return ParameterFault(fault.words, (key, *fault.path), fault.missing)
        return None

    def _is_needed(
        self, key: str, value: Mapping[str, Any], properties: Mapping[str, Any], depth: int
    ) -> bool:
        """Whether a parameter that is absent or null is not given: some may be null."""
        if key not in value:
            return True
        return self.fault(None, properties.get(key, True), depth + 1) is not None

    def _fault_of_list(
        self, value: list[Any], schema: dict[str, Any], depth: int
    ) -> ParameterFault | None:
        items = schema.get("items", True)
        for item in value if isinstance(items, dict) else ():
            if self._left < 0:
                return None
            if (fault := self.fault(item, items, depth + 1)) is not None:
                return ParameterFault(f"holds what {fault.words}")
        return None

    def _all_of(self, schema: dict[str, Any]) -> Iterator[object]:
        """Schemas beside this one that the same value has to fit as well."""
        if "$ref" in schema:
            yield self._target(schema["$ref"])
        yield from schema["allOf"] if isinstance(schema.get("allOf"), list) else ()

    def _target(self, reference: object) -> object:
        """What a `#/$defs/Name` leads to; True, which everything fits, where it leads nowhere."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return True
        node: object = self._root
        for step in filter(None, reference[1:].split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or name not in node:
                return True
            node = node[name]
        return node

    def names(self, schema: object, depth: int = 0) -> frozenset[str] | None:
        """The parameters that an object may have; None where it may have any."""
        self._left -= 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._left < 0:
            return None
        if any(schema.get(key, False) is not False for key in _FREE):
            return None
        parts = list(self._all_of(schema))
        for key in _BRANCHES:
            parts += schema[key] if isinstance(schema.get(key), list) else ()
        found = [self.names(part, depth + 1) for part in parts]
        known = [names for names in found if names is not None]
        says_which = "properties" in schema or schema.get("additionalProperties") is False
        is_any_object = schema.get("type") == "object" and not parts
        if len(known) < len(found) or (not says_which and (is_any_object or not schema)):
            return None
        own = (*_mapping(schema.get("properties")), *_texts(schema.get("required")))
        return frozenset(own).union(*known)


def _problem(value: Any, schema: Mapping[str, Any]) -> str:
    """What is wrong with a value itself, apart from what is in it; empty where nothing is."""
    wanted = [name.lower() for name in _texts(schema.get("type"))]
    # a type that nobody knows may be any
    if wanted and not any(_TYPES.get(name, _is_any)(value) for name in wanted):
        return f"is no {' or '.join(wanted)}"
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(choices, list) and not any(_is_same(value, choice) for choice in choices):
        return f"is {_shown(value)}, which is none of {', '.join(map(_shown, choices[:10]))}"
    for key, (measure, fits, words) in _BOUNDS.items():
        bound, measured = schema.get(key), measure(value)
        if _is_number(bound) and measured is not None and not fits(measured, bound):
            return words.format(bound=_shown(bound))
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    """3.0 is an integer in JSON."""
    return _is_number(value) and (not isinstance(value, float) or value.is_integer())


def _is_any(value: object) -> bool:
    return True


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _is_whole,
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def _number(value: Any) -> Any:
    """None for what no bound says anything of."""
    return value if _is_number(value) and not math.isnan(value) else None


def _length_of(kind: type[str] | type[list[Any]]) -> Callable[[Any], int | None]:
    return lambda value: len(value) if isinstance(value, kind) else None


_BOUNDS: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any, Any], bool], str]] = {
    "minimum": (_number, lambda value, bound: value >= bound, "is less than {bound}"),
    "maximum": (_number, lambda value, bound: value <= bound, "is more than {bound}"),
    "exclusiveMinimum": (_number, lambda value, bound: value > bound, "is not over {bound}"),
    "exclusiveMaximum": (_number, lambda value, bound: value < bound, "is not under {bound}"),
    "minLength": (_length_of(str), lambda size, bound: size >= bound, "is shorter than {bound}"),
    "maxLength": (_length_of(str), lambda size, bound: size <= bound, "is longer than {bound}"),
    "minItems": (_length_of(list), lambda size, bound: size >= bound, "has under {bound} items"),
    "maxItems": (_length_of(list), lambda size, bound: size <= bound, "has over {bound} items"),
}
"""What is measured of a value, how it has to compare, and what is said where it does not."""


def _is_same(value: object, choice: object) -> bool:
    """As JSON has it: true is not 1. Choices are plain values; others are not told apart."""
    if isinstance(choice, dict | list):
        return isinstance(value, type(choice))
    return isinstance(value, bool) == isinstance(choice, bool) and value == choice


def _shown(value: object) -> str:
    """A value in a few words; one with others in it by its form alone, as it may be endless."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(one_line(value[:200], 40)) if isinstance(value, str) else one_line(value, 40)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    """A text, or those in a list."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]
