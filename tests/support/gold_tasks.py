"""A task repo whose gold patches are not all resolved: one is, one flickers, one fails. Made of the
smoke benchmark's only task."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from orchestrator.dataset import BUNDLED

TASK = "lanternhill__tally-1"
SOUND, FLICKERS, FAILS = (f"lanternhill__tally-{n}" for n in (1, 2, 3))
NO_SUCH_TEST = "test_nobody_wrote (tests.test_tally.TestTally.test_nobody_wrote)"
RUNS_TESTS = "python -u -m unittest"


def make_gold_tasks(folder: Path, counter: str) -> Path:
    """The task repo, with all three.

    The tests that flicker print nothing every second time; `counter` is a file where that is
    counted, as a sandbox sees it.
    """
    shutil.copytree(BUNDLED["smoke"], folder)
    for name in (SOUND, FLICKERS, FAILS):
        task = folder / "tasks" / name
        if name != TASK:
            shutil.copytree(folder / "tasks" / TASK, task)
            edit(task / "task.yaml", TASK, name)
            edit(
                task / "task.yaml", "tally-1:latest", f"{name.removeprefix('lanternhill__')}:latest"
            )
    edit(
        folder / "tasks" / FLICKERS / "eval.sh",
        RUNS_TESTS,
        f"echo >>{counter}; (( $(wc -l <{counter}) % 2 )) || {RUNS_TESTS}",
    )
    tests = folder / "tasks" / FAILS / "tests.json"
    wanted = json.loads(tests.read_text())
    wanted["FAIL_TO_PASS"].append(NO_SUCH_TEST)
    tests.write_text(json.dumps(wanted))
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
