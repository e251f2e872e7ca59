"""What a harness's eval script prints, in the ways of the runners of tests that benchmarks have."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from orchestrator.verdict import END_OF_TESTS, START_OF_TESTS

FAULTS = (
    ("AssertionError", "assert {left} == {right}"),
    ("TypeError", "unsupported operand type(s) for +: 'NoneType' and 'str'"),
    ("ValueError", "not enough values to unpack (expected 2, got 1)"),
    ("AttributeError", "'NoneType' object has no attribute 'name'"),
    ("KeyError", "'default'"),
)


def eval_output(row: Mapping[str, object], passed: Mapping[str, bool], rng: random.Random) -> str:
    """What all of an eval script prints; `passed` says it of every test, in their order."""
    return _between(row, _STYLES.get(str(row["log_parser"]), _pytest)(passed, rng))


def _between(row: Mapping[str, object], body: Iterable[str]) -> str:
    """What tests have printed, with what the script prints before and after."""
    command = _command(str(row["eval_script"]))
    return "\n".join(
        (
            "+ source /opt/miniconda3/bin/activate",
            "+ cd /testbed",
            "+ git status",
            "On branch main",
            f"+ git -c core.fileMode=false diff {row['base_commit']}",
            "+ git apply -v -",
            f"+ : '{START_OF_TESTS}'",
            f"+ {command}",
            *body,
            f"+ : '{END_OF_TESTS}'",
            "",
        )
    )


def hanging_output(row: Mapping[str, object], seconds: int) -> str:
    """The same where the tests never came to their end."""
    return (
        f"+ : '{START_OF_TESTS}'\n+ {_command(str(row['eval_script']))}\ncollecting ...\n\n"
        f"Timeout error: {seconds} seconds exceeded."
    )


def broken_output(row: Mapping[str, object]) -> str:
    """The same where a fault of the patch keeps all tests from running."""
    body = (
        "Traceback (most recent call last):",
        '  File "<string>", line 1, in <module>',
        "SyntaxError: invalid syntax",
    )
    return _between(row, body)


def claimed_output(
    row: Mapping[str, object], passed: Mapping[str, bool], rng: random.Random, believed: bool
) -> str:
    """The same where a conftest.py prints that all tests passed. `believed` or not: tests that
    ended in an error although none has failed are not, if the script says how they ended."""
    output = eval_output(row, dict.fromkeys(passed, True), rng)
    # as the newer eval scripts of the harness do it
    return output if believed else f"{output}>>>>> Test Exit Code: 1\n"


def _command(eval_script: str) -> str:
    """Of the tests: what stands behind the mark of their start."""
    after = eval_script.partition(START_OF_TESTS)[2].split("\n")
    return after[1].strip() if len(after) > 1 else "pytest -rA"


def _fault(rng: random.Random) -> tuple[str, str]:
    kind, text = rng.choice(FAULTS)
    return kind, text.format(left=rng.randint(0, 9), right=rng.randint(10, 99))


def _pytest(passed: Mapping[str, bool], rng: random.Random) -> Iterator[str]:
    faults = {name: _fault(rng) for name, ok in passed.items() if not ok}
    yield f"{' test session starts ':=^78}"
    yield "platform linux -- Python 3.9.19, pytest-7.4.0, pluggy-1.0.0"
    yield "rootdir: /testbed"
    yield f"collected {len(passed)} items"
    yield ""
    yield from _dots(passed)
    if faults:
        yield f"{' FAILURES ':=^78}"
    for name, (kind, text) in faults.items():
        test = name.rpartition("::")[2]
        yield f"{f' {test} ':_^78}"
        yield ""
        yield f"    def {test.partition('[')[0]}():"
        yield "        found = call_what_the_issue_is_about()"
        yield ">       assert found == wanted"
        yield f"E       {kind}: {text}"
        yield ""
        yield f"{name.partition('::')[0]}:{rng.randint(20, 900)}: {kind}"
    yield f"{' short test summary info ':=^78}"
    yield from (f"PASSED {name}" for name, ok in passed.items() if ok)
    yield from (f"FAILED {name} - {kind}: {text}" for name, (kind, text) in faults.items())
    failed = f"{len(faults)} failed, " if faults else ""
    yield f"{f' {failed}{len(passed) - len(faults)} passed in {rng.uniform(1, 90):.2f}s ':=^78}"


def _dots(passed: Mapping[str, bool]) -> Iterator[str]:
    files: dict[str, str] = {}
    for name, ok in passed.items():
        file = name.partition("::")[0]
        files[file] = files.get(file, "") + (".F"[not ok])
    yield from (f"{file} {dots[:60]}" for file, dots in files.items() if file.endswith(".py"))
    yield ""


def _django(passed: Mapping[str, bool], rng: random.Random) -> Iterator[str]:
    yield "Testing against Django installed in '/testbed/django'"
    yield "Found 1 test(s)."
    yield "Creating test database for alias 'default' ('file:memorydb_default?mode=memory')..."
    yield "System check identified no issues (0 silenced)."
    yield from (f"{name} ... {'ok' if ok else 'FAIL'}" for name, ok in passed.items())
    yield ""
    failed = [name for name, ok in passed.items() if not ok]
    for name in failed:
        kind, text = _fault(rng)
        yield "=" * 70
        yield f"FAIL: {name}"
        yield "-" * 70
        yield "Traceback (most recent call last):"
        yield f'  File "/testbed/tests/{_django_file(name)}", line {rng.randint(20, 900)}'
        yield "    self.assertEqual(found, wanted)"
        yield f"{kind}: {text}"
        yield ""
    yield "-" * 70
    yield f"Ran {len(passed)} tests in {rng.uniform(0.1, 60):.3f}s"
    yield ""
    yield f"FAILED (failures={len(failed)})" if failed else "OK"


def _django_file(name: str) -> str:
    where = name.partition("(")[2].rstrip(")").split(".")
    return "/".join(where[:-1] or ["tests"]) + ".py"


def _sympy(passed: Mapping[str, bool], rng: random.Random) -> Iterator[str]:
    yield f"{' test process starts ':=^78}"
    yield "executable:         /opt/miniconda3/envs/testbed/bin/python  (3.9.19-final-0) [CPython]"
    yield "architecture:       64-bit"
    yield "random seed:        48129523"
    yield ""
    yield f"sympy/core/tests/test_made_up.py[{len(passed)}] "
    yield from (f"{name} {'ok' if ok else 'F'}" for name, ok in passed.items())
    yield ""
    failed = [name for name, ok in passed.items() if not ok]
    for name in failed:
        kind, text = _fault(rng)
        yield "_" * 78
        yield f"{f' sympy/core/tests/test_made_up.py:{name} ':_^78}"
        yield "Traceback (most recent call last):"
        yield f'  File "/testbed/sympy/core/tests/test_made_up.py", line {rng.randint(20, 900)}'
        yield "    assert found == wanted"
        yield f"{kind}: {text}"
    passes = len(passed) - len(failed)
    also = f", {len(failed)} failed" if failed else ""
    yield f"{f' tests finished: {passes} passed{also}, in {rng.uniform(1, 90):.2f} seconds ':=^78}"


Style = Callable[[Mapping[str, bool], random.Random], Iterator[str]]
_STYLES: Mapping[str, Style] = {"parse_log_django": _django, "parse_log_sympy": _sympy}
"""By the harness's parser; the others read pytest's."""


def passed_tests(
    fail_to_pass: Sequence[str],
    pass_to_pass: Sequence[str],
    fails: float,
    breaks: float,
    rng: random.Random,
) -> dict[str, bool]:
    """Every test, in the order of its lists, and whether it passed: of each list so large a share
    fails, and at least one test where the share is above 0 and there is any."""
    passed = dict.fromkeys((*pass_to_pass, *fail_to_pass), True)
    for names, share in ((fail_to_pass, fails), (pass_to_pass, breaks)):
        count = min(len(names), max(1, round(share * len(names)))) if share > 0 else 0
        passed |= dict.fromkeys(rng.sample(list(names), count), False)
    return passed
