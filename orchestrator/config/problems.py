"""What pydantic finds wrong with a value, in words for those who write the YAML. Pure."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator.errors import one_line

LIST = "write a list, such as [a, b]"
KEYS = "write keys with their values, such as {key: value}"
TEXT = "write text, in quotes where it looks like a number"
WHOLE_NUMBER = "write a whole number"
NUMBER = "write a number"
YES_OR_NO = "write true or false"
IN_WORDS = {
    "missing": "is missing",
    "too_short": "is empty",
    "tuple_type": LIST,
    "list_type": LIST,
    "dict_type": KEYS,
    "mapping_type": KEYS,
    "model_type": KEYS,
    "string_type": TEXT,
    "int_type": WHOLE_NUMBER,
    "int_parsing": WHOLE_NUMBER,
    "int_from_float": WHOLE_NUMBER,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "bool_type": YES_OR_NO,
    "bool_parsing": YES_OR_NO,
}


def first_problem(error: ValidationError) -> str:
    """`KEY: what is wrong with it`, of the first of them; no key where the whole is wrong."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key}: {problem_words(first)}".removeprefix(": ")


def problem_words(error: ErrorDetails) -> str:
    """One line; what has no words here is told in pydantic's, and ours stay."""
    in_words = IN_WORDS.get(error["type"])
    return in_words or one_line(error["msg"]).removeprefix("Value error, ")
