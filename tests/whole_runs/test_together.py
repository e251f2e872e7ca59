"""Two runs in one session on Ray, from their start through a kill to their reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
from support.commands import LIMIT_S, wait_until

from orchestrator.backends.process.processes import MARKER
from orchestrator.journal import RunState, read_journal

TESTS = Path(__file__).parents[1]
RUNS = ("slow=slow:1", "wrong=wrong")
"""One whose model takes a second an answer, and one whose model answers at once and wrongly."""
pytestmark = [pytest.mark.ray, pytest.mark.slow]


def start(runs_dir: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "support.run_together",
        str(runs_dir),
        "orchard__ledger-[13].*",
        *RUNS,
    ]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def state_of(runs_dir: Path, run_id: str) -> RunState:
    return read_journal(runs_dir / run_id / "journal.sqlite")


def test_two_runs_that_are_killed_together_go_on_together_and_lose_and_double_nothing(
    tmp_path: Path,
) -> None:
    runs_dir = tmp_path / "runs"
    process = start(runs_dir)
    wrong = runs_dir / "wrong"
    wait_until((wrong / "ray-session").exists, "both runs on one Ray")
    sessions = {(runs_dir / run / "ray-session").read_text() for run in ("slow", "wrong")}
    wait_until(lambda: bool(state_of(runs_dir, "wrong").outcomes), "an outcome")
    before = state_of(runs_dir, "wrong")
    assert state_of(runs_dir, "slow").unfinished, "the slow one holds up nothing of the other"
    process.kill()
    process.communicate()

    process = start(runs_dir)
    stdout, stderr = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 0, stderr
    assert len(sessions) == 1
    reports = json.loads(stdout)
    assert {run: report["resolved"] for run, report in reports.items()} == {"slow": 2, "wrong": 0}
    assert all(report["valid"] for report in reports.values())
    for run_id in ("slow", "wrong"):
        state = state_of(runs_dir, run_id)
        assert Counter(row.instance_id for row in state.grades) == dict.fromkeys(state.instances, 1)
        assert {request.key.run_id for request in state.requests} == {run_id}
        assert (runs_dir / run_id / "gateway.log").exists()
        assert not (runs_dir / run_id / "ray-session").exists()
        assert not (runs_dir / run_id / "scratch").exists()
    after = state_of(runs_dir, "wrong").rollouts
    assert list(before.rollouts) == list(after)[: len(before.rollouts)]
    assert left_running(runs_dir, sessions.pop()) == []


def left_running(runs_dir: Path, ray_session: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            words, owner = process.cmdline(), process.environ().get(MARKER, "")
        except (psutil.Error, OSError):
            continue
        if owner.startswith(str(runs_dir)) or any(ray_session in word for word in words):
            found.append(" ".join(words))
    return found
