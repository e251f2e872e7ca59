from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Ended

import orchestrator
from orchestrator.cli.options import make_request, run_folder
from orchestrator.config import load_config


def test_flags_go_over_settings() -> None:
    request = make_request("demo", settings=["selection.seed=1", "selection.slice=0:9"], seed=2)

    selection = load_config(request).selection
    assert (selection.seed, selection.slice) == (2, "0:9")


def test_a_seed_of_zero_is_a_seed() -> None:
    request = make_request("demo", settings=["selection.seed=1"], seed=0)

    assert load_config(request).selection.seed == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a,b", "c"], ("a", "b", "c")),
        (["django__(a,b)", "x{1,2}, y"], ("django__(a,b)", "x{1,2}", "y")),
        ([" a , ,b"], ("a", "b")),
    ],
)
def test_commas_separate_instances_but_not_within_brackets(
    given: list[str], expected: tuple[str, ...]
) -> None:
    request = make_request("demo", instances=given)

    assert load_config(request).selection.instances == expected


def test_a_run_is_found_by_its_id_or_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "run.yaml").touch()

    assert run_folder("r1", tmp_path) == tmp_path / "r1"
    assert run_folder(str(tmp_path / "r1"), Path("elsewhere")) == tmp_path / "r1"


@pytest.mark.slow
def test_a_folder_that_was_removed_under_a_shell_is_told_in_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$2" -m orchestrator launch demo --agent gold'
    environment = {**os.environ, "PYTHONPATH": str(Path(orchestrator.__file__).parents[1])}

    done = subprocess.run(
        ["bash", "-c", script, "bash", gone, sys.executable],
        env=environment,
        capture_output=True,
        text=True,
    )

    Ended(done.returncode, done.stdout, done.stderr).assert_one_line(3, "cd ~")
