"""A shell's text cut into words: as a shell does it, and as people's pastes need it."""

from __future__ import annotations

import contextlib
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.serving.shell_words import commands_of

WORDS = st.lists(st.text().filter(lambda text: "\0" not in text), min_size=1)


@given(WORDS)
def test_what_is_quoted_for_a_shell_is_read_as_it_was(words: list[str]) -> None:
    assert commands_of(shlex.join(words)) == [words]


@given(st.text(alphabet=st.sampled_from("ab \n\t'\"\\$`(){};&|<>#-=^2🦉")))
def test_no_text_fails_but_for_a_quote_that_is_not_closed(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(commands_of(text))


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        (" \n\n ", []),
        ("a b", [["a", "b"]]),
        ("a 'b c' \"d e\"", [["a", "b c", "d e"]]),
        ("a --x='{\"b\": 1}'", [["a", '--x={"b": 1}']]),
        (r'a "{\"b\": 1}"', [["a", '{"b": 1}']]),
        (r'a "$HOME \$x \n"', [["a", r"$HOME $x \n"]]),
        (r"a b\ c \"d", [["a", "b c", '"d']]),
        ("a ''", [["a", ""]]),
        ("a\\\nb \\\n  c", [["a", "b", "c"]]),
        ("a \\  \n  --b", [["a", "--b"]]),  # a blank behind the backslash
        ("a\n  --b 1\n\n  --c", [["a", "--b", "1", "--c"]]),  # backslashes lost in a paste
        ("a \\\n  # why\n  --b", [["a", "--b"]]),
        ("a ^\n --b", [["a", "--b"]]),  # cmd
        ("a `\n --b", [["a", "--b"]]),  # PowerShell
        ("a # b\nc", [["a"], ["c"]]),
        ("a#b 'c # d'", [["a#b", "c # d"]]),
        ("a; b && c || d | e & f", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]),
        ("(cd x; a)", [["cd", "x"], ["a"]]),
        ("a b > log 2>&1", [["a", "b"]]),
        ("a b >>'my log' --c", [["a", "b", "--c"]]),
        ("a &> log --c", [["a", "--c"]]),
        ("a <MODEL> --b <path/to-it> <in", [["a", "<MODEL>", "--b", "<path/to-it>"]]),
        ("a -n 2 <in", [["a", "-n", "2"]]),
        ("a <<EOF\nb c\nEOF", [["a"], ["b", "c"], ["EOF"]]),
        ("a $(pwd)/m:/m ${X:-a b} `id -u`", [["a", "$(pwd)/m:/m", "${X:-a b}", "`id -u`"]]),
        ("a $'b c' $d", [["a", "b c", "$d"]]),
        ("a 'ü🦉'", [["a", "ü🦉"]]),
    ],
)
def test_a_script_is_cut_into_its_commands(text: str, commands: list[list[str]]) -> None:
    assert commands_of(text) == commands


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a 'b\"", 'a "b\\"', "$'"])
def test_a_quote_that_is_not_closed_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is not closed"):
        commands_of(text)
