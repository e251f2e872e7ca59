"""A matrix as people start it: all its runs on one Ray, killed in the middle, and one table."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest
from support.commands import CommandLine, wait_until

from orchestrator.backends.process.processes import MARKER
from orchestrator.journal import RunState, read_journal
from orchestrator.paths import MatrixPaths

pytestmark = [pytest.mark.ray, pytest.mark.slow]

MATRIX = """
benchmark: demo
models: [scripted, slower.yaml]
agents: [mini, mini-edit]
selection: {instances: [orchard__ledger-12, orchard__ledger-31]}
"""
SLOWER = """
served_name: scripted
endpoint: {base_url: scripted}
personas: {default: 'slow:1', orchard__ledger-31: wrong}
"""
QUICK, SLOW = ("m.scripted.mini", "m.scripted.mini-edit"), ("m.slower.mini", "m.slower.mini-edit")
CELLS = QUICK + SLOW


def states(paths: MatrixPaths) -> dict[str, RunState]:
    journals = {run_id: paths.run(run_id).journal for run_id in CELLS}
    return {run_id: read_journal(one) for run_id, one in journals.items() if one.exists()}


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


def test_a_matrix_that_is_killed_loses_and_doubles_nothing_and_ends_in_one_table(
    orchestrate: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slower.yaml").write_text(SLOWER, encoding="utf-8")
    Path("mine.yaml").write_text(MATRIX, encoding="utf-8")
    paths = MatrixPaths(orchestrate.runs_dir / "m")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    words = ["mine.yaml", "--run-id", "m", "--sandbox", "process", "--workers", "3"]
    process = orchestrate.start("matrix", *words)

    def is_in_the_middle() -> bool:
        assert process.poll() is None, process.communicate()
        begun = states(paths)
        return any(begun[run_id].verdicts for run_id in QUICK if run_id in begun)

    wait_until(is_in_the_middle, "a verdict of a quick model")
    sessions = {(orchestrate.runs_dir / cell / "ray-session").read_text() for cell in CELLS}
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    before = states(paths)
    assert all(before[run_id].unfinished for run_id in SLOW), "they hold up nothing of the others"
    Path("mine.yaml").write_text("benchmark: demo\nmodels: [scripted]\nagents: [nop]\n")
    Path("slower.yaml").unlink()

    ended = orchestrate("resume", "m", "--json")

    assert (ended.exit_code, ended.stderr.count("Traceback")) == (0, 0), ended.stderr
    after = states(paths)
    assert tuple(after) == CELLS
    assert len(sessions) == 1
    for run_id, state in after.items():
        assert len(state.verdicts) == len(state.outcomes) == len(state.instances) == 2
        done = before[run_id]
        assert {i: state.verdicts[i] for i in done.verdicts} == done.verdicts
        assert list(done.rollouts) == list(state.rollouts)[: len(done.rollouts)]
        assert Counter(row.instance_id for row in state.grades) == dict.fromkeys(state.instances, 1)
        assert {request.key.run_id for request in state.requests} == {run_id}
        folder = orchestrate.runs_dir / run_id
        assert (folder / "gateway.log").exists()
        assert not (folder / "ray-session").exists()
    cells = {cell["run_ids"][0]: cell for cell in ended.report["cells"]}
    assert {run_id: cell["resolved"] for run_id, cell in cells.items()} == (
        dict.fromkeys(QUICK, 2) | dict.fromkeys(SLOW, 1)
    )
    assert all(cell["valid"] for cell in cells.values())
    assert len(ended.report["pairs"]["compared"]) == 4
    assert json.loads(paths.report_json.read_text(encoding="utf-8")) == ended.report
    assert "100% (34% to 100%)" in orchestrate("report", "m").stdout
    assert not list(orchestrate.runs_dir.glob("*/scratch"))
    assert left_running(orchestrate.runs_dir, sessions.pop()) == []


@pytest.mark.docker
@pytest.mark.openhands
@pytest.mark.sweagent
def test_the_users_first_evening_is_played_and_ends_in_their_table(
    orchestrate: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    base = os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE")
    images = ["--set", f"cluster.images.base={base}"] if base else []

    ended = orchestrate("matrix", "evening-played", "--run-id", "e", "--sandbox", "docker", *images)

    assert ended.exit_code == 0, ended.stderr
    found = json.loads((orchestrate.runs_dir / "e" / "matrix.json").read_text(encoding="utf-8"))
    cells = {(cell["model"], cell["agent"]): cell for cell in found["cells"]}
    lost, by_text = (cells["scripted-gemma", agent] for agent in ("openhands", "sweagent"))
    assert (lost["resolved"], by_text["resolved"], by_text["median_steps"]) == (0, 1, 9)
    assert lost["broken_calls"] == lost["calls"] > 0
    errs, never_ends = (cells["scripted-qwen", agent] for agent in ("openhands", "sweagent"))
    assert (errs["broken_calls"], errs["resolved"]) == (1, 1)
    assert (never_ends["salvaged"], never_ends["resolved"]) == (1, 1)
    table = ended.stdout[ended.stdout.index("e: smoke, 1 instance") :]
    for words in ("calls broken", "✓ 9 steps", "⚠ salvaged"):
        assert words in table
