"""Predictions of anybody's: every official form, and what is wrong with others as one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark import result_or_line

from orchestrator.errors import ConfigError
from orchestrator.predictions import read_predictions
from orchestrator.types import patch_sha256

ROW = {"instance_id": "a", "model_name_or_path": "m", "model_patch": "diff\r\n"}
EMPTY = {"instance_id": "b", "model_name_or_path": "m", "model_patch": None}
BREAKS = "x\u2028y\u2029\x85\x0b\x0c\x1c\x1d\x1e\ufeffz"
"""At which `str.splitlines` ends a line, and a byte order mark that is none."""


def read(path: Path) -> list[dict[str, str]]:
    return [found.as_dict() for found in read_predictions(path, path.name)]


def error_of(tmp_path: Path, data: str | bytes, name: str = "p.jsonl") -> str:
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / name)
    told = str(caught.value)
    assert told.startswith(name)
    assert "\n" not in told
    assert len(told) < 400
    return told.removeprefix(name).removeprefix(", ").removeprefix(": ")


def lines(*rows: Any) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", f"{json.dumps(ROW)}\n\n{json.dumps(EMPTY)}\n\n"),
        ("p.jsonl", f"{json.dumps(ROW)}\r\n \t\r\n{json.dumps(EMPTY)}"),
        ("p.JSONL", f"\ufeff{json.dumps(ROW)}\n{json.dumps(EMPTY)}"),
        ("p.jsonl", lines(ROW, EMPTY | {"more": [1, {"of": "others"}], "cost": 1e300})),
        ("p.jsonl", lines(ROW, EMPTY | {"model_patch": float("nan")})),
        ("p.json", json.dumps([ROW, EMPTY])),
        ("p.json", json.dumps({"a": ROW, "b": EMPTY})),
        ("p.json", json.dumps({"a": ROW, "b": {k: EMPTY[k] for k in [*EMPTY][1:]}})),
        ("p.json", "\ufeff" + json.dumps([ROW, EMPTY], indent=1).replace("\n", "\r\n")),
    ],
)
def test_predictions_are_read_in_every_official_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())

    assert read(tmp_path / name) == [ROW, EMPTY | {"model_patch": ""}]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_line_ends_at_a_line_feed_and_nowhere_else(tmp_path: Path, ascii_only: bool) -> None:
    rows = [ROW | {"model_patch": BREAKS}, ROW | {"instance_id": "b", "model_patch": "\0"}]
    text = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    (tmp_path / "p.jsonl").write_bytes(text.encode())

    assert read(tmp_path / "p.jsonl") == rows


@pytest.mark.parametrize(
    "name", ["org/model", "..", "a:b", "🚀 é", "x" * 300, "None", "[/x]", " m "]
)
def test_any_one_line_of_text_is_a_models_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "p.jsonl").write_text(lines(ROW | {"model_name_or_path": name}), "utf-8")

    assert read(tmp_path / "p.jsonl")[0]["model_name_or_path"] == name


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model_patch", ["diff"], "model_patch is a list, and must be text"),
        ("model_patch", {"diff": 1}, "model_patch is an object, and must be text"),
        ("model_patch", 0, "model_patch is a number, and must be text"),
        ("model_patch", False, "model_patch is true or false, and must be text"),
        ("model_patch", "x\ud800y", r"model_patch holds half of a surrogate pair (\ud800)"),
        ("model_patch", "\udcff", r"model_patch holds half of a surrogate pair (\udcff)"),
        ("model_name_or_path", None, "model_name_or_path is null, and must be text"),
        ("model_name_or_path", "", "model_name_or_path is empty"),
        ("model_name_or_path", " \t", "model_name_or_path is empty"),
        ("model_name_or_path", "a\nb", r"model_name_or_path 'a\nb' holds a control character"),
        ("model_name_or_path", "a\0", r"model_name_or_path 'a\x00' holds a control character"),
        ("model_name_or_path", "\udfff", "model_name_or_path holds half of a surrogate pair"),
        ("model_name_or_path", ["m"], "model_name_or_path is a list, and must be text"),
        ("model_name_or_path", "n", "more than one model: 'm' and 'n'; make a file of each"),
        ("instance_id", None, "instance_id is null, and must be text"),
        ("instance_id", 7, "instance_id is a number, and must be text"),
        ("instance_id", "", "instance_id is empty"),
        ("instance_id", "b", "more than one for b: line 1 has it too"),
    ],
)
def test_a_wrong_value_is_told_with_its_line_and_key(
    tmp_path: Path, key: str, value: Any, told: str
) -> None:
    text = lines(EMPTY, ROW | {key: value})

    assert error_of(tmp_path, text).startswith(f"line 2: {told}")


@pytest.mark.parametrize("key", ROW)
def test_a_key_that_is_missing_is_told_and_never_taken_for_empty(tmp_path: Path, key: str) -> None:
    cut = {name: value for name, value in ROW.items() if name != key}

    assert error_of(tmp_path, lines(EMPTY, cut)) == f"line 2: has no {key}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds none"),
        ("\n \n", "holds none"),
        ("{", "line 1: not JSON"),
        (lines(ROW) + json.dumps(EMPTY)[:17], "line 2: not JSON: Unterminated string"),
        (lines(ROW) + json.dumps(EMPTY)[:20], "the file ends in this line: was it cut off?"),
        (lines(ROW, [ROW]), "line 2: is a list, and must be an object with instance_id"),
        ("null\n", "line 1: is null"),
        (lines(ROW).rstrip() + lines(EMPTY), "line 1: not JSON: Extra data"),
        ('{"a": 1, "a": 2}', "line 1: the key 'a' stands there twice"),
        ('{"a": Infinity}', "line 1: Infinity is no value of JSON"),
        ('{"a": %s}' % ("9" * 5000), "line 1: a number of more digits"),
        ("[" * 100_000, "line 1: it is nested too deeply"),
        ('{"a": "\t"}', "line 1: not JSON: Invalid control character"),
    ],
)
def test_what_is_no_line_of_predictions_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in error_of(tmp_path, text)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("5", "is a number: it must be a list of predictions"),
        ("null", "is null"),
        ('"text"', "is text"),
        ("[]", "holds none"),
        ("{}", "holds none"),
        ("[5]", "prediction 1: is a number"),
        (json.dumps([ROW, ROW]), "prediction 2: more than one for a: prediction 1 has it too"),
        (json.dumps({"x": ROW}), "'x': instance_id is another, 'a'"),
        (json.dumps({"a": "diff"}), "'a': is text, and must be an object"),
        (json.dumps(ROW), "'instance_id': is text, and must be an object"),
        ('[\n{"a": 1},\n{', "line 3: not JSON"),
        ("", "it is empty"),
    ],
)
def test_json_that_holds_no_predictions_is_refused(tmp_path: Path, value: str, told: str) -> None:
    assert told in error_of(tmp_path, value, "p.json")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("p.jsonl", lines(ROW).encode("utf-16"), "is UTF-16: write it as UTF-8"),
        ("p.jsonl", lines(ROW).encode("utf-16-le"), "line 1: holds a zero byte"),
        ("p.jsonl", lines(ROW).encode() + b"\xe9", "line 2: not UTF-8 (byte 0xe9)"),
        ("p.json", b"\x1f\x8b\x08\0", "is compressed with gzip: unpack it first"),
        ("p.json", b"PK\x03\x04", "is a zip archive"),
        ("p.txt", b"", "a file of predictions ends in .jsonl or .json"),
        ("p", b"", "a file of predictions ends in .jsonl or .json"),
    ],
)
def test_a_file_in_another_form_is_told(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    assert told in error_of(tmp_path, data, name)


def test_a_folder_and_a_file_that_is_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").mkdir()
    with pytest.raises(ConfigError, match=r"^p\.jsonl: Is a directory$"):
        read(tmp_path / "p.jsonl")
    with pytest.raises(ConfigError, match=r"^q\.json: No such file or directory$"):
        read(tmp_path / "q.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
entries = json_values | st.fixed_dictionaries(
    {key: json_values | st.text(st.characters()) | st.just(ROW[key]) for key in ROW}
)


def read_or_error(path: Path, data: bytes) -> list[dict[str, str]] | str:
    path.write_bytes(data)
    found = result_or_line(lambda: read(path))
    for prediction in found if isinstance(found, list) else ():
        patch_sha256(prediction["model_patch"])  # it can be written
    return found


@pytest.mark.fuzz
@given(
    st.binary()
    | st.lists(entries).map(lambda rows: lines(*rows)).map(str.encode)
    | st.text().map(str.encode),
    st.sampled_from(["fuzz.json", "fuzz.jsonl"]),
)
def test_any_bytes_are_predictions_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    read_or_error(tmp_path_factory.getbasetemp() / name, data)


@pytest.mark.fuzz
@given(st.lists(entries, min_size=1, max_size=4), st.sampled_from(["fuzz.json", "fuzz.jsonl"]))
def test_any_values_are_taken_as_they_are_or_refused_with_their_place(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[Any], name: str
) -> None:
    text = lines(*given_rows) if name == "fuzz.jsonl" else json.dumps(given_rows)

    found = read_or_error(tmp_path_factory.getbasetemp() / name, text.encode())

    if isinstance(found, str):
        assert re.match(rf"{re.escape(name)}, (line|prediction) \d: |.*Infinity", found)
        return
    nothing = [row["model_patch"] for row in given_rows if not isinstance(row["model_patch"], str)]
    assert all(patch is None or patch != patch for patch in nothing)
    assert found == [
        {key: row[key] if isinstance(row[key], str) else "" for key in ROW} for row in given_rows
    ]
