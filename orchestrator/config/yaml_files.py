"""YAML of people: profiles, run.yaml and the values of `--set`.

Refused, each in one line: a key that stands twice (YAML's readers take the last one), aliases that
make a file too large to be a configuration, and values that nobody can make.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import ConfigError, one_line
from orchestrator.text_files import read_text, surrogate_problem

MAX_VALUES = 100_000
"""In one file, with aliases written out."""
_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
"""What PyYAML writes as it is in a plain text, and reads as something else."""


def read_yaml(path: Path, name: str) -> Any:
    """What a file holds. `name` is the file's in errors. Raises ConfigError."""
    text = read_text(path, name)
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{name} is not YAML: {error}") from None


def parse_yaml(text: str) -> Any:
    """The value of a text. Raises ValueError; its words are one line."""
    try:
        # a merge (`<<`) is written into the nodes when a value is made of them
        node = _find_nodes(text) if "<<" in text else _read_nodes(text)
        return None if node is None else yaml.SafeLoader("").construct_document(node)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        place = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(one_line(f"{error.problem or error.context}{place}")) from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # of values that PyYAML can't make it raises whatever it meets: `!!bool x`, 2024-13-45
        raise ValueError(one_line(error)) from None


@lru_cache(maxsize=64)
def _read_nodes(text: str) -> yaml.Node | None:
    """What a text consists of. Kept, as this is most of the time that YAML takes, and a matrix has
    the same profiles read for each of its cells. Raises as `_find_nodes`."""
    return _find_nodes(text)


def _find_nodes(text: str) -> yaml.Node | None:
    """Raises as YAML does, and as `_count_values`."""
    node = yaml.SafeLoader(text).get_single_node()
    if node is not None:
        _count_values(node, {})
    return node


def find_line(text: str, path: Sequence[str]) -> int:
    """The line, from 1, at which a path of keys leads to a value, items of lists by their number;
    where it leads to nothing, the last line on the way. `text` is one that `parse_yaml` takes."""
    node, line = yaml.compose(text, Loader=yaml.SafeLoader), 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdecimal():
            found = next(((v, v) for v in node.value[int(part) :]), None)
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def dump_yaml(data: Any) -> str:
    """A text of which `parse_yaml` makes the same again, in the order of its keys."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    pass


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if _BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _count_values(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many values a node is with its aliases written out, without writing them out.

    Raises:
        MarkedYAMLError: too many, one that holds itself, a key twice, or what is no Unicode.
    """
    if node in known:
        if not known[node]:
            raise _problem(node, "an alias stands inside of what it names")
        return known[node]
    known[node] = 0
    count = 1
    if isinstance(node, yaml.ScalarNode) and (problem := surrogate_problem(node.value)):
        raise _problem(node, f"a text {problem}")
    if isinstance(node, yaml.SequenceNode):
        count += sum(_count_values(item, known) for item in node.value)
    if isinstance(node, yaml.MappingNode):
        _require_single_keys(node)
        count += sum(_count_values(part, known) for pair in node.value for part in pair)
    if count > MAX_VALUES:
        raise _problem(node, f"more than {MAX_VALUES} values, with aliases written out")
    known[node] = count
    return count


def _require_single_keys(node: yaml.MappingNode) -> None:
    keys: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in keys:
            raise _problem(key, f"the key {one_line(repr(key.value), 80)} stands there twice")
        keys.add((key.tag, key.value))


def _problem(node: yaml.Node, what: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
