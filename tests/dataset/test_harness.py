"""The harness's modules by themselves: small, the very same code, and nobody else sees a gap."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

USES = {
    "a row is checked": "from orchestrator.dataset import load_dataset\n"
    "from orchestrator.config.schema import Benchmark\n"
    "load_dataset(Benchmark(name='demo', source='bundled'))",
    "a grade is made": "import orchestrator.backends.docker.grade",
    "a report is made": "from orchestrator.dataset.harness import harness_module\n"
    "harness_module('run_evaluation').make_run_report",
}
HEAVY = ("pandas", "pyarrow", "datasets", "modal", "numpy")


def said_by(program: str) -> list[str]:
    words = [sys.executable, "-c", program]
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return found.stdout.split()


@pytest.mark.parametrize("use", USES)
def test_whoever_checks_grades_or_reports_imports_nothing_for_others(use: str) -> None:
    program = f"{USES[use]}\nimport sys; print(*(n for n in {HEAVY} if n in sys.modules))"

    assert said_by(program) == []


@pytest.mark.slow
def test_who_imports_the_harness_afterwards_gets_all_of_it() -> None:
    program = """
import sys
from orchestrator.dataset.harness import harness_module
ours = harness_module("run_evaluation")
assert not any(name.partition(".")[0] == "swebench" for name in sys.modules)
assert harness_module("utils") is harness_module("utils") is not None
assert ours.make_test_spec is harness_module("utils").make_test_spec
import datasets, swebench.harness.modal_eval, swebench.harness.run_evaluation
assert callable(datasets.load_dataset)
assert callable(swebench.harness.run_evaluation.run_instances_modal)
assert harness_module("run_evaluation") is ours
assert harness_module("infra_failure").__name__ == "swebench.harness.infra_failure"
print("all")
"""
    assert said_by(program) == ["all"]


@pytest.mark.slow
def test_where_the_harness_is_imported_already_it_is_that_one() -> None:
    program = """
import swebench.harness.utils
from orchestrator.dataset.harness import harness_module
assert harness_module("utils") is swebench.harness.utils
print("same")
"""
    assert said_by(program) == ["same"]
