"""The harness's report.json and what the tests printed, as results of single tests. Pure.

Which tests passed is the harness's word. Why one failed stands in the output, in the words of its
runner: pytest's, unittest's (Django's too) and sympy's are known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator.agents.steps import shorten
from orchestrator.evidence.facts import TestKind, TestResult
from orchestrator.text import writable
from orchestrator.verdict import END_OF_TESTS, START_OF_TESTS

MAX_OUTPUT_CHARS = 6_000
"""Of what is kept of one test's output."""

_UNDERLINED = re.compile(r"_{2,} (?:ERROR (?:at (?:setup|teardown) of|collecting) )?(\S.*?) _{2,}")
"""How pytest and sympy begin what they say of a failed test."""
_UNITTEST = re.compile(r"(?:FAIL|ERROR): (.+)")
_RULE = re.compile(r"={10,}.*|-{10,}|_{60,}")
_BEGINNINGS = ("__", "FAIL: ", "ERROR: ", "=====", "-----")
"""Of lines that may be one of the above; there are thousands of others."""
_SHORT = re.compile(r"(?:FAILED|ERROR) (\S.*)")
"""A line of pytest's short summary."""


def read_results(report: Any, output: str) -> tuple[TestResult, ...]:
    """The tests of an instance's own part of report.json, failed ones with what was printed.

    `output` is the whole of test_output.txt. Nothing where the harness has counted none.
    """
    status = report.get("tests_status") if isinstance(report, dict) else None
    if not isinstance(status, dict):
        return ()
    counted = [
        (name, kind, passed)
        for kind in TestKind
        for key, passed in (("failure", False), ("success", True))
        for name in _names(status.get(kind), key)
    ]
    if all(passed for _, _, passed in counted):
        return tuple(TestResult(name, kind, passed) for name, kind, passed in counted)
    why = _Failures(tests_part(output))
    return tuple(
        TestResult(name, kind, passed, "" if passed else why.of(name))
        for name, kind, passed in counted
    )


def instance_report(data: bytes, instance_id: str) -> Any:
    """An instance's own part of report.json. Raises ValueError where it holds none."""
    found = json.loads(data.decode("utf-8", "replace"))
    if not isinstance(found, dict) or not isinstance(found.get(instance_id), dict):
        raise ValueError(f"it says nothing of {instance_id}")
    return found[instance_id]


def tests_part(output: str) -> str:
    """What stands between the harness's marks; all where a mark is missing."""
    _, start, rest = output.partition(START_OF_TESTS)
    return (rest if start else output).partition(END_OF_TESTS)[0]


def _names(group: object, key: str) -> list[str]:
    found = group.get(key) if isinstance(group, dict) else None
    names = found if isinstance(found, list) else []
    return [writable(name) for name in names if isinstance(name, str)]


class _Failures:
    """What an output says of the tests that failed, by their names in it."""

    def __init__(self, output: str) -> None:
        self._blocks: dict[str, str] = {}
        for name, text in _blocks(output):
            self._blocks.setdefault(name, text)
        self._summary = dict(_summary(output))

    def of(self, name: str) -> str:
        """What was printed of a test; empty where nothing was found."""
        for said in (self._blocks, self._summary):
            for key in _keys(name):
                if key in said:
                    return shorten(said[key].strip("\n"), MAX_OUTPUT_CHARS)
        return ""


def _keys(name: str) -> Iterator[str]:
    """The names under which runners tell of a test, the surest first."""
    yield name
    if "::" in name:
        file, _, inside = name.partition("::")
        yield inside.replace("::", ".")
        yield inside.rpartition("::")[2]
        yield file
    yield name.partition(" ")[0]


def _blocks(output: str) -> Iterator[tuple[str, str]]:
    """Every part of an output that tells of one test, with the test's name."""
    lines = output.split("\n")
    name, part = "", list[str]()
    for number, line in enumerate(lines):
        line = line.rstrip("\r")
        if not line.startswith(_BEGINNINGS):
            if name:
                part.append(line)
            continue
        heading = _UNDERLINED.fullmatch(line) or (
            _UNITTEST.fullmatch(line) if number and lines[number - 1].startswith("=====") else None
        )
        if heading:
            if name:
                yield from _named(name, part)
            name, part = heading[1], [line]
        elif name and _RULE.fullmatch(line) and not _is_below(part, line):
            yield from _named(name, part)
            name, part = "", []
        elif name:
            part.append(line)
    if name:
        yield from _named(name, part)


def _summary(output: str) -> Iterator[tuple[str, str]]:
    """The lines of pytest's short summary that say of a test why it failed."""
    for line in output.split("\n"):
        if line.startswith(("FAILED ", "ERROR ")) and (
            short := _SHORT.fullmatch(line.rstrip("\r"))
        ):
            test, _, message = short[1].partition(" - ")
            if message:
                yield test, line


def _is_below(part: list[str], line: str) -> bool:
    """Whether a line is unittest's rule between a heading and what follows it: of dashes, and a
    test's first line of documentation may stand before it."""
    return line.startswith("-") and part[0].startswith(("FAIL:", "ERROR:")) and len(part) <= 2


def _named(name: str, part: list[str]) -> Iterator[tuple[str, str]]:
    text = "\n".join(part)
    yield name, text
    if ".py:" in name:  # sympy: file and test
        yield name.rpartition(":")[2], text
    if part[0].startswith(("FAIL:", "ERROR:")):
        yield from _of_unittest(name, part, text)


def _of_unittest(name: str, part: list[str], text: str) -> Iterator[tuple[str, str]]:
    """The harness knows a test of unittest's by name and class, or by its documentation."""
    test, _, where = name.partition(" (")
    yield test, text
    if where:
        # 3.11 and later name the test again within the brackets
        yield f"{test} ({where.removesuffix(')').removesuffix(f'.{test}')})", text
    if len(part) > 1 and part[1].strip() and not part[1].startswith("---"):
        yield part[1].strip(), text
