"""Predictions of anybody's, in every form that the official harness takes, checked by value.

`.jsonl` with one a line; `.json` with a list, or with a mapping by instance id. A `model_patch`
that is null, as agents write it that made none, is no patch; anything else that is no text is an
error, never a patch that does not apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, one_line
from orchestrator.text_files import kind_of, read_json, read_json_lines, surrogate_problem
from orchestrator.types import Prediction

KEYS = ("instance_id", "model_name_or_path", "model_patch")


def read_predictions(path: Path, name: str) -> list[Prediction]:
    """A file's predictions, which are one model's. `name` is the file's in errors.

    Raises:
        ConfigError: not such a file, no predictions, two for one instance, or of two models; with
            the line, or the place in the list.
    """
    found: list[Prediction] = []
    places: dict[str, str] = {}
    for place, entry in _entries(path, name):
        try:
            prediction = _prediction(entry)
            first = places.setdefault(prediction.instance_id, place)
            if first != place:
                raise ValueError(f"more than one for {prediction.instance_id}: {first} has it too")
            if found and prediction.model_name_or_path != found[0].model_name_or_path:
                names = " and ".join(_shown(p.model_name_or_path) for p in (found[0], prediction))
                raise ValueError(f"more than one model: {names}; make a file of each")
        except ValueError as error:
            raise ConfigError(f"{name}, {place}: {error}") from None
        found.append(prediction)
    if not found:
        raise ConfigError(f"{name} holds none")
    return found


def _entries(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Each entry with its place, as a person finds it."""
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        yield from ((f"line {n}", entry) for n, entry in read_json_lines(path, name))
        return
    if suffix != ".json":
        raise ConfigError(f"{name}: a file of predictions ends in .jsonl or .json")
    value = read_json(path, name)
    if isinstance(value, list):
        yield from ((f"prediction {n}", entry) for n, entry in enumerate(value, start=1))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield _shown(key), _with_id(entry, key, f"{name}, {_shown(key)}")
    else:
        raise ConfigError(
            f"{name} is {kind_of(value)}: it must be a list of predictions, or a mapping by "
            "instance id"
        )


def _with_id(entry: Any, key: str, place: str) -> Any:
    """An entry of a mapping, whose key is its id too."""
    if not isinstance(entry, dict):
        return entry
    if entry.setdefault("instance_id", key) != key:
        raise ConfigError(f"{place}: instance_id is another, {_shown(entry['instance_id'])}")
    return entry


def _prediction(entry: Any) -> Prediction:
    """Raises ValueError: the key, and what is wrong with its value."""
    if not isinstance(entry, dict):
        raise ValueError(f"is {kind_of(entry)}, and must be an object with {', '.join(KEYS)}")
    missing = [key for key in KEYS if key not in entry]
    if missing:
        raise ValueError(f"has no {' and no '.join(missing)}")
    patch = entry["model_patch"]
    return Prediction(
        _name(entry, "instance_id"),
        _name(entry, "model_name_or_path"),
        "" if patch is None else _text(entry, "model_patch"),
    )


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is {kind_of(value)}, and must be text")
    if problem := surrogate_problem(value):
        raise ValueError(f"{key} {problem}: no file can hold it as UTF-8")
    return value


def _name(entry: dict[str, Any], key: str) -> str:
    value = _text(entry, key)
    if not value.strip():
        raise ValueError(f"{key} is empty")
    if any(ord(character) < 32 for character in value):
        raise ValueError(f"{key} {_shown(value)} holds a control character")
    return value


def _shown(value: object) -> str:
    return one_line(repr(value), 80)
