"""A made-up benchmark, for where no real rows can be had: of projects that do not exist. Pure."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any

from orchestrator.made_up.chance import chance
from orchestrator.verdict import END_OF_TESTS, START_OF_TESTS

PROJECTS: Mapping[str, tuple[float, str, str]] = {
    "orchard/ledger": (38, "parse_log_django", "./runtests.py --verbosity 2"),
    "harborlight/parcelo": (26, "parse_log_sympy", "bin/test -C --verbose"),
    "quillworks/mdslate": (14, "parse_log_pytest", "pytest -rA"),
    "tidepool/cronwise": (10, "parse_log_pytest", "pytest -rA"),
    "lanternhill/tally": (7, "parse_log_pytest", "pytest -rA"),
    "brightwater/gauge": (5, "parse_log_pytest", "pytest -rA"),
}
"""How many of a hundred instances a project has, the harness's parser of its tests' output, and
the command that runs them."""
MODULES = ("core", "parser", "models", "report", "fields", "cache", "render", "rates")
NOUNS = ("entry", "total", "field", "parcel", "heading", "window", "currency", "quote")
WHATS = (
    "is lost",
    "is rounded twice",
    "is None",
    "keeps its old value",
    "comes in the wrong order",
)
WHENS = ("is empty", "is given twice", "has no name", "crosses midnight", "holds an umlaut")


def made_up_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """So many rows with the columns of v5, the lists of tests as JSON like on the hub."""
    rng = chance(seed, "benchmark")
    weights = [weight for weight, _, _ in PROJECTS.values()]
    repos = rng.choices(list(PROJECTS), weights, k=count)
    return [_row(repo, 1000 + 7 * n, seed) for n, repo in enumerate(sorted(repos))]


def _row(repo: str, number: int, seed: int) -> dict[str, Any]:
    instance_id = f"{repo.replace('/', '__')}-{number}"
    rng = chance(seed, instance_id, "row")
    project = repo.partition("/")[2]
    module, noun = rng.choice(MODULES), rng.choice(NOUNS)
    what, when = rng.choice(WHATS), rng.choice(WHENS)
    fail, keep = _tests(repo, module, noun, rng)
    test_file = f"tests/test_{module}.py"
    commit = hashlib.sha1(instance_id.encode()).hexdigest()
    _, parser, command = PROJECTS[repo]
    return {
        "repo": repo,
        "instance_id": instance_id,
        "base_commit": commit,
        "patch": _gold_patch(f"{project}/{module}.py", noun, rng),
        "test_patch": _test_patch(test_file, noun),
        "problem_statement": (
            f"The {noun} {what} when the name {when}\n\n"
            f"`{project}.{module}` is asked for a {noun}, and it {what}.\n\n"
            f"```python\nfrom {project} import {module}\n\n{module}.find_{noun}('')\n```\n"
        ),
        "hints_text": "",
        "created_at": f"2024-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T12:00:00Z",
        "version": "1.0",
        "FAIL_TO_PASS": json.dumps(fail),
        "PASS_TO_PASS": json.dumps(keep),
        "environment_setup_commit": commit,
        "image": f"made-up/sweb.eval.x86_64.{instance_id.replace('__', '_1776_')}:latest",
        "eval_script": (
            f"#!/bin/bash\nset -uxo pipefail\ncd /testbed\n: '{START_OF_TESTS}'\n"
            f"{command} {test_file}\n: '{END_OF_TESTS}'\n"
        ),
        "log_parser": parser,
        "eval_type": "pass_and_fail",
    }


def _tests(repo: str, module: str, noun: str, rng: random.Random) -> tuple[list[str], list[str]]:
    parser = PROJECTS[repo][1]
    forms = {
        "parse_log_django": f"test_{noun}_{{}} (test_{module}.Test{module.title()})",
        "parse_log_sympy": f"test_{noun}_{{}}",
    }
    form = forms.get(parser, f"tests/test_{module}.py::test_{noun}_{{}}")
    fail = [form.format(f"of_the_issue_{n}") for n in range(rng.choice((1, 1, 1, 2, 3, 5)))]
    return fail, [form.format(n) for n in range(rng.randint(4, 90))]


def _gold_patch(path: str, noun: str, rng: random.Random) -> str:
    hunks = "".join(_hunk(noun, 12 + 60 * n, 3 * n, rng) for n in range(rng.choice((1, 1, 2, 3))))
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunks}"


def _hunk(noun: str, line: int, shift: int, rng: random.Random) -> str:
    limit = rng.randint(2, 60)
    lines = (
        f" def find_{noun}_{line}(name, known=None):",
        f'     """The {noun} of this name."""',
        f"-    return known[name][:{limit}]",
        "+    if not name or known is None:",
        f"+        return default_{noun}(name)",
        f"+    found = known.get(name, [])[:{limit}]",
        f"+    return found or default_{noun}(name)",
        " ",
        " ",
        f" def default_{noun}_{line}(name):",
    )
    return f"@@ -{line},6 +{line + shift},9 @@\n" + "".join(f"{text}\n" for text in lines)


def _test_patch(path: str, noun: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -3,3 +3,7 @@\n \n \n"
        f"+def test_{noun}_of_the_issue_0():\n+    assert find_{noun}('') is not None\n+\n+\n"
        f" def test_{noun}_0():\n"
    )
