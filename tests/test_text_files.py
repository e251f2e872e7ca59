"""Text, JSON and JSON lines of others."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark import result_or_line

from orchestrator.errors import ConfigError
from orchestrator.text_files import (
    kind_of,
    parse_json,
    parse_json_lines,
    read_json,
    read_json_lines,
    read_text,
    surrogate_problem,
)


def write(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "f").write_bytes(data)
    return tmp_path / "f"


@pytest.mark.parametrize("data", [b"", "größer\n".encode(), b"\xef\xbb\xbfx\r\n", b"\xc2\x85"])
def test_text_is_read_as_it_stands_without_a_byte_order_mark(tmp_path: Path, data: bytes) -> None:
    assert read_text(write(tmp_path, data), "f") == data.removeprefix(b"\xef\xbb\xbf").decode()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("a".encode("utf-16"), "f is UTF-16: write it as UTF-8"),
        ("\ufeffa".encode("utf-16-be"), "f is UTF-16: write it as UTF-8"),
        ("a\nb".encode("utf-32"), "f is UTF-16: write it as UTF-8"),
        ("a\nb".encode("utf-16-le"), "f, line 1: holds a zero byte, so it is no text in UTF-8"),
        (b"a\nb\0", "f, line 2: holds a zero byte, so it is no text in UTF-8"),
        (b"a\r\nb\n\xe9t\xe9", "f, line 3: not UTF-8 (byte 0xe9)"),
        (b"\xed\xa0\x80", "f, line 1: not UTF-8 (byte 0xed)"),
        (gzip.compress(b"a", mtime=0), "f is compressed with gzip: unpack it first"),
        (b"\x28\xb5\x2f\xfd\0", "f is compressed with zstd: unpack it first"),
        (b"PAR1\x15\x04", "f is a Parquet file: its name must end in .parquet"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(write(tmp_path, data), "f")

    assert str(caught.value) == told


def test_a_folder_an_absent_file_and_an_impossible_name_are_told(tmp_path: Path) -> None:
    for path, told in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file or directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(ConfigError, match=f"^f: {told}$"):
            read_text(path, "f")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, b"x")
    path.chmod(0)

    with pytest.raises(ConfigError, match=r"^f: Permission denied$"):
        read_text(path, "f")


def test_lines_are_numbered_as_an_editor_does_and_blank_ones_are_passed_over(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, '\ufeff1\r\n\n \t\r\n"a\u2028b\u0085\\n"\n[]'.encode())

    assert list(read_json_lines(path, "f")) == [(1, 1), (4, "a\u2028b\x85\n"), (5, [])]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\n{\n2", "f, line 2: not JSON: Expecting property name enclosed in double quotes"),
        ("1\n2 3", "f, line 2: not JSON: Extra data (column 3); the file ends in this line"),
        ("1\n-Infinity\n", "f, line 2: -Infinity is no value of JSON"),
        ("1\n" + "[" * 9999 + "\n", "f, line 2: it is nested too deeply"),
        ('{"x": {"\\u0061": 1, "a": 1}}\n', "f, line 1: the key 'a' stands there twice"),
        ('"\x1c"\n', "f, line 1: not JSON: Invalid control character"),
        ("1\r2\n", "f, line 1: not JSON: Extra data"),
    ],
)
def test_a_line_that_is_no_json_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list(parse_json_lines(text, "f"))

    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_one_value_is_told_by_its_line_where_it_has_several(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^f, line 3: not JSON: Expecting value"):
        read_json(write(tmp_path, b"[1,\n2,\n}"), "f")
    with pytest.raises(ConfigError, match=r"^f: it is empty$"):
        read_json(write(tmp_path, b" "), "f")


def test_what_pandas_writes_for_a_missing_value_is_null() -> None:
    assert parse_json('[NaN, null, "NaN"]') == [None, None, "NaN"]


def test_half_a_surrogate_pair_is_seen_and_a_whole_one_is_a_character() -> None:
    assert surrogate_problem(parse_json('"\\ud83d\\ude00"')) == ""
    assert surrogate_problem(parse_json('"x\\ude00\\ud83d"')).endswith(r"(\ude00)")


def test_values_have_names_that_people_know() -> None:
    values = (None, True, 0, 1.5, "", [], {}, b"")
    kinds = ("null", "true or false", "a number", "a number", "text", "a list", "an object")
    assert tuple(map(kind_of, values)) == (*kinds, "of type bytes")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3)
    ),
    max_leaves=4,
)


@pytest.mark.fuzz
@given(st.lists(json_values, max_size=4), st.booleans())
def test_what_python_writes_is_read_again(values: list[object], with_ascii: bool) -> None:
    written = [json.dumps(value, ensure_ascii=with_ascii) for value in values]
    text = "\n".join(written)

    assert list(parse_json_lines(text, "f")) == list(enumerate(values, 1))


@pytest.mark.fuzz
@given(st.binary() | st.text('[]{}",:\\ud80dcfNaIn0123456789eE+-\n ').map(str.encode))
def test_any_bytes_are_values_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)

    result_or_line(lambda: list(read_json_lines(path, "f")))
    result_or_line(lambda: read_json(path, "f"))
