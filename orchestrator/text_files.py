"""Text files that others made, read as their makers meant: UTF-8, JSON, and JSON lines.

What can't be read is one line that names the file and the place. JSON is taken as Python's and
JavaScript's writers make it, and where two readings are possible none is chosen:

- lines end at "\\n" and nowhere else: a string in JSON may hold U+2028 as it is;
- a byte order mark is let pass, and so is Windows' "\\r\\n";
- NaN, which pandas writes for a missing value, is null; Infinity is refused;
- a key that stands twice in one object is refused. Half of a surrogate pair, which no file in UTF-8
  can hold, is for the reader to refuse, who knows what it stands in (`surrogate_problem`).
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, one_line

BINARY_FORMS = {
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first",
    b"\xfd7zXZ\x00": "compressed with xz: unpack it first",
    b"PAR1\x15": "a Parquet file: its name must end in .parquet",
    codecs.BOM_UTF16_LE: "UTF-16: write it as UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16: write it as UTF-8",
}
"""How files begin that are taken for text, and what to say of them."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_text(path: Path, name: str) -> str:
    """A file's text, without its byte order mark. `name` is the file's in errors.

    Raises:
        ConfigError: it can't be read, or is no text in UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror or error}") from None
    for beginning, what in BINARY_FORMS.items():
        if data.startswith(beginning):
            raise ConfigError(f"{name} is {what}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        bad = data[error.start]
        raise ConfigError(f"{name}, line {line}: not UTF-8 (byte 0x{bad:02x})") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError(f"{name}, line {line}: holds a zero byte, so it is no text in UTF-8")
    return text


def read_json(path: Path, name: str) -> Any:
    """What a file of one JSON value holds. Raises ConfigError, as all that follow."""
    text = read_text(path, name)
    try:
        return parse_json(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        where = f"{name}, line {line}" if line > 1 else name
        raise ConfigError(f"{where}: {json_problem(error, text)}") from None


def read_json_lines(path: Path, name: str) -> Iterator[tuple[int, Any]]:
    """Number (from 1) and value of every line that is not blank."""
    return parse_json_lines(read_text(path, name), name)


def parse_json_lines(text: str, name: str) -> Iterator[tuple[int, Any]]:
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            problem = json_problem(error, line)
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                problem += "; the file ends in this line: was it cut off?"
            raise ConfigError(f"{name}, line {number}: {problem}") from None
        yield number, value


def parse_json(text: str) -> Any:
    """One JSON value. Raises ValueError, also for what is nested too deeply to be read."""
    try:
        return json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_problem(error: ValueError, text: str) -> str:
    """What is wrong with a text that is no JSON, for people."""
    if not isinstance(error, json.JSONDecodeError):
        is_huge = "integer string conversion" in str(error)
        return "a number of more digits than any has" if is_huge else one_line(error)
    if not text.strip():
        return "it is empty"
    return f"not JSON: {error.msg} (column {error.colno})"


def surrogate_problem(text: str) -> str:
    """Why a text can't be written as UTF-8; empty where it can."""
    found = _SURROGATE.search(text)
    return f"holds half of a surrogate pair (\\u{ord(found[0]):04x})" if found else ""


def kind_of(value: object) -> str:
    """What a JSON value is, in words: `null`, `a list`."""
    kinds = {type(None): "null", bool: "true or false", int: "a number", float: "a number"}
    kinds |= {str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), f"of type {type(value).__name__}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {one_line(repr(double), 80)} stands there twice")
    return found


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no value of JSON")
