"""A benchmark row, checked by value before the night: what it lacks would end every rollout of it.

What the official harness knows (its log parsers, its kinds of evaluation, what its parsers want of
a version or an id) is asked of the harness.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from orchestrator.config.image_names import IMAGE, NAME_CHARS
from orchestrator.config.keys import nearest
from orchestrator.dataset.harness import harness_module
from orchestrator.errors import ConfigError, one_line
from orchestrator.paths import FOLDER_NAME_BYTES
from orchestrator.text_files import json_problem, kind_of, parse_json, surrogate_problem

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Docker's grammar of container names, as the harness makes one of the id."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_DEPTH = 100
"""Of lists and objects within each other, in one value."""


@dataclass(frozen=True)
class SourceRow:
    """A row as its file has it."""

    where: str
    """As a person finds it: `line 3`, `row 3`, `tasks/a__b-1`."""
    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its id, or where it has none, its place."""
        instance_id = self.values.get("instance_id")
        return instance_id if isinstance(instance_id, str) else self.where


def _problem(what: str) -> PydanticCustomError:
    return PydanticCustomError("row", "{what}", {"what": what})


def _shown(value: str) -> str:
    return one_line(repr(value), 80)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        more = "" if value is None else ", and must be text"
        raise _problem(f"is {kind_of(value)}{more}")
    if "\0" in value:
        raise _problem("holds a NUL character")
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise _problem("is empty")
    return value


def _instance_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise _problem(
            f"{_shown(value)} can't name a folder and a container: use letters, digits, '_', '.' "
            "and '-', and begin with a letter or digit"
        )
    if len(value) > FOLDER_NAME_BYTES:
        raise _problem(f"{_shown(value)} has more than {FOLDER_NAME_BYTES} characters")
    return value


def _commit(value: str) -> str:
    if not _COMMIT.fullmatch(value):
        raise _problem(f"{_shown(value)} is no full commit id (40 digits of 0-9a-f)")
    return value


def _image(value: str) -> str:
    match = IMAGE.fullmatch(value)
    if match is None or len(match["name"]) > NAME_CHARS:
        raise _problem(f"{_shown(value)} is no reference to a Docker image")
    return value


def _version(value: Any) -> str:
    """Text, or a number as YAML and JSON may have it. None is empty: few of the harness's parsers
    want a version, and those are asked."""
    if value is None:
        return ""
    return str(value) if type(value) in (int, float) else _text(value)


def _tests(value: Any) -> list[str]:
    """Ids of tests: a list, or as on the hub the JSON of one."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            raise _problem(f"is no list of tests: {json_problem(error, value)}") from None
    if not isinstance(value, list):
        raise _problem(f"is {kind_of(value)}, and must be a list of tests")
    for item in value:
        if not isinstance(item, str):
            raise _problem(f"holds {kind_of(item)} where the name of a test must be")
    return value


def _eval_script(value: str) -> str:
    constants = harness_module("constants")
    marks = (constants.START_TEST_OUTPUT, constants.END_TEST_OUTPUT)
    missing = [mark for mark in marks if mark not in value]
    if missing:
        raise _problem(f"does not print {missing[0]!r}, without which the harness finds no tests")
    return value


def _log_parser(value: str) -> str:
    known = list(harness_module("log_parsers").PARSER_REGISTRY)
    if value not in known:
        hint = nearest(value, known)
        hint = hint if "did you mean" in hint else ""  # there are too many to name all
        raise _problem(f"{_shown(value)} is none of the harness's{hint}")
    return value


def _eval_type(value: str) -> str:
    known = [kind.value for kind in harness_module("constants").EvalType]
    if value not in known:
        raise _problem(f"{_shown(value)} is none of the harness's{nearest(value, known)}")
    return value


def _assets(value: Any) -> Any:
    """Binary files that the harness adds to the two patches, as JSON or as its value. What stands
    there of the problem statement is for others, in forms of their own."""
    if not value:
        return {}
    try:
        found = parse_json(value) if isinstance(value, str) else value
    except ValueError as error:
        raise _problem(f"is {json_problem(error, value)}") from None
    if not isinstance(found, dict):
        raise _problem(f"is {kind_of(found)}, and must be an object")
    for key in ("patch", "test_patch"):
        files = found.get(key) or []
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            raise _problem(f"holds no list of files at {key}")
    return found


Text = Annotated[str, BeforeValidator(_text)]
Filled = Annotated[Text, AfterValidator(_filled)]
Tests = Annotated[list[str], BeforeValidator(_tests)]


class Row(BaseModel):
    """The columns that something depends on; all others are let pass."""

    model_config = ConfigDict(extra="allow", frozen=True)

    instance_id: Annotated[Filled, AfterValidator(_instance_id)]
    repo: Filled
    base_commit: Annotated[Filled, AfterValidator(_commit)]
    problem_statement: Filled
    patch: Text
    version: Annotated[str, BeforeValidator(_version)]
    FAIL_TO_PASS: Tests
    PASS_TO_PASS: Tests
    image: Annotated[Filled, AfterValidator(_image)]
    eval_script: Annotated[Filled, AfterValidator(_eval_script)]
    log_parser: Annotated[Filled, AfterValidator(_log_parser)]
    eval_type: Annotated[Filled, AfterValidator(_eval_type)]
    image_assets: Annotated[Any, BeforeValidator(_assets)] = None

    @model_validator(mode="after")
    def _some_test_decides(self) -> Self:
        if not (self.FAIL_TO_PASS or self.PASS_TO_PASS):
            raise _problem("FAIL_TO_PASS and PASS_TO_PASS are both empty: no test decides")
        return self


def check_rows(rows: Sequence[SourceRow], source: str) -> list[dict[str, Any]]:
    """The rows' values as JSON has them, each fit for rollouts and for the harness.

    Raises:
        ConfigError: the first one that is not, its column, and how many there are.
    """
    checked: list[dict[str, Any]] = []
    wrong: list[str] = []
    names: dict[str, SourceRow] = {}
    for row in rows:
        try:
            values = _check(row)
            same = names.setdefault(row.label.casefold(), row)
            if same is not row:
                raise ValueError(
                    f"instance_id differs from {same.label} ({same.where}) only in upper and lower "
                    "case, and both would have one container"
                )
            checked.append(values)
        except ValueError as error:
            name = "" if row.label == row.where else f" ({_shown(row.label)[1:-1]})"
            wrong.append(f"{row.where}{name}: {error}")
    if wrong:
        more = f"; {len(wrong) - 1} more of the selected rows are wrong" if len(wrong) > 1 else ""
        raise ConfigError(f"{source}, {wrong[0]}{more}")
    return checked


def _check(row: SourceRow) -> dict[str, Any]:
    """Raises ValueError, in one line: the column, and what is wrong with it."""
    try:
        plain = {str(column): _plain(value) for column, value in row.values.items()}
        for column, value in plain.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if problem := surrogate_problem(column + text):
                raise ValueError(f"{_shown(column)[1:-1]} {problem}")
        values = Row.model_validate(plain).model_dump(exclude_unset=True)
    except RecursionError:
        raise ValueError("a column is nested too deeply") from None
    except ValidationError as error:
        raise ValueError(_first_problem(error)) from None
    _ask_harness(values)
    return values


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    what = "is missing" if first["type"] == "missing" else one_line(first["msg"])
    return " ".join((*(str(column) for column in first["loc"][:1]), what))


def _ask_harness(values: dict[str, Any]) -> None:
    """Let the harness make its own description of the instance, and read an empty log by it.

    Raises:
        ValueError: it can't; with its words.
    """
    try:
        spec = harness_module("utils").make_test_spec(values)
        harness_module("log_parsers").PARSER_REGISTRY[spec.log_parser]("", spec)
    except Exception as error:  # noqa: BLE001 - the boundary to the harness, told as the row's fault
        words = one_line(f"{type(error).__name__}: {error}")
        raise ValueError(f"the harness can't grade it ({words})") from None


def _plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it, of what pandas, numpy, Arrow and YAML make. No value is null.

    Raises:
        RecursionError: it is nested too deeply to be read again wherever it is read.
    """
    if depth > MAX_DEPTH:
        raise RecursionError
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)
