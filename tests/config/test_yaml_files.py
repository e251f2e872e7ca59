"""YAML of people: what it holds, or one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark import result_or_line

from orchestrator.config.yaml_files import dump_yaml, parse_yaml, read_yaml
from orchestrator.errors import ConfigError

BOMB = "\n".join(
    ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]
)
MERGE_BOMB = "\n".join(
    [
        "a0: &a0 {x: 1}",
        *(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)),
    ]
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("\ufeffa: 1\r\nb: [x, 2.5, null]\r\n", {"a": 1, "b": ["x", 2.5, None]}),
        ("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}", {"base": {"x": 1, "y": 2}, "mine": ...}),
        ('a: "\\u2028\\0"', {"a": "\u2028\0"}),
        ("a: 1\nA: 2\n'1': 3\n1: 4", {"a": 1, "A": 2, "1": 3, 1: 4}),
    ],
)
def test_yaml_is_read(tmp_path: Path, text: str, value: Any) -> None:
    (tmp_path / "f.yaml").write_bytes(text.encode())

    found = read_yaml(tmp_path / "f.yaml", "f")

    if isinstance(value, dict) and "mine" in value:
        value["mine"] = {"x": 1, "y": 3}
    assert found == value


@pytest.mark.parametrize(
    "text", ["a: {b: [1]}", "x: &x {b: [1]}\na: {<<: *x}", "x: &x {b: [1]}\na: *x"]
)
def test_a_text_that_is_read_again_gives_a_value_of_its_own(text: str) -> None:
    first = parse_yaml(text)
    first["a"]["b"].append(2)

    assert parse_yaml(text)["a"] == {"b": [1]}


def test_a_text_with_a_wrong_merge_is_refused_each_time() -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="merging"):
            parse_yaml("a: 1\n<<: 3\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' stands there twice (line 3)"),
        ("a:\n  b: 1\n  'b': 2", "the key 'b' stands there twice (line 3)"),
        ("a:\n\tb: 1", "found character '\\t' that cannot start any token (line 2)"),
        (BOMB, "more than 100000 values, with aliases written out"),
        (MERGE_BOMB, "more than 100000 values, with aliases written out"),
        ("a: &a [*a]", "an alias stands inside of what it names (line 1)"),
        ("a: *nobody", "found undefined alias"),
        ("[" * 1000, "it is nested too deeply"),
        ('a: "\\ud800"', r"a text holds half of a surrogate pair (\ud800) (line 1)"),
        ("a: \x01", "unacceptable character #x0001"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: !!bool maybe", "maybe"),
        ("a: !!int x", "invalid literal for int()"),
        ("a: !!timestamp x", "NoneType"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("? [a]\n: b", "found unhashable key"),
        ("a: 1\n---\nb: 2", "but found another document (line 2)"),
        ("{a: [", "expected the node content"),
        ("a: b: c", "mapping values are not allowed here (line 1)"),
    ],
)
def test_what_can_not_be_read_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "f.yaml").write_bytes(text.encode())

    line = result_or_line(lambda: read_yaml(tmp_path / "f.yaml", "f"))

    assert isinstance(line, str)
    assert line.startswith("f is not YAML: ")
    assert told in line


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("a: 1".encode("utf-16"))
    with pytest.raises(ConfigError, match="f is UTF-16"):
        read_yaml(tmp_path / "f", "f")
    with pytest.raises(ConfigError, match="f: Is a directory"):
        read_yaml(tmp_path, "f")


def value_or_words(text: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        return f"!{error}"


yamlish = st.text("ab:-[]{}&*!?|>'\"#%@,\n\t <=0123456789.~\\x\x85\u2028\ufeff")


@pytest.mark.fuzz
@given(yamlish | st.text())
def test_any_text_is_what_pyyaml_makes_of_it_or_one_line(text: str) -> None:
    found = value_or_words(text)

    if isinstance(found, str) and found.startswith("!"):
        assert "\n" not in found
    elif found == found:
        assert found == yaml.safe_load(text)


@pytest.mark.fuzz
@given(
    st.dictionaries(st.text(), st.text() | st.none() | st.lists(st.text(), max_size=2), max_size=2)
)
def test_what_is_dumped_is_read_again(data: dict[str, Any]) -> None:
    assert parse_yaml(dump_yaml(data)) == data
