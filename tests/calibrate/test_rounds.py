"""`calibrate` from end to end, in process sandboxes: what was killed is kept, and only what is left
is graded."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.gold_tasks import FAILS, FLICKERS, SOUND, make_gold_tasks

from orchestrator.calibrate import rounds
from orchestrator.calibrate.rounds import Calibration, calibrate
from orchestrator.calibrate.view import (
    calibration_dict,
    calibration_lines,
    render_calibration,
)
from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import load_dataset
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_INTERRUPTED, ConfigError
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.report.calibration import GoldStanding, Gradable
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock, SandboxLock, versions
from orchestrator.types import (
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutKey,
    RolloutRecord,
)
from orchestrator.user_paths import calibration_rounds

SETTINGS = {
    "cluster.sandbox.kind": "process",
    "cluster.grading.timeout_s": 60,
    "cluster.grading.network": False,
    "cluster.min_free_disk_gb": 0.2,
    "rollout.retry_delay_s": 0,
    "rollout.retries.agent_crashed": 0,
}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    """For three tasks, with a cache of the test's own."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    tasks = make_gold_tasks(tmp_path / "tasks", str(tmp_path / "counter"))
    return RunRequest(str(tasks), settings=SETTINGS)


def leave_killed_round(asked: RunRequest, run_id: str, **resolved: bool) -> None:
    """What a round leaves that was killed when these tasks had been graded so."""
    request = RunRequest(
        asked.benchmark,
        agent="gold",
        run_id=run_id,
        runs_dir=str(calibration_rounds()),
        settings=asked.settings,
    )
    config = load_config(request)
    dataset = load_dataset(config.benchmark)
    sandbox = SandboxLock(kind="process", platform=config.cluster.sandbox.platform)
    paths = RunPaths.of(config.runs_dir, config.run_id)
    create_run(paths, config, dataset, RunLock(versions=versions(), sandbox=sandbox))
    with Journal.open(paths.journal) as journal:
        journal.begin_session()
        for task, end in resolved.items():
            key = RolloutKey(config.run_id, TASKS[task], 1)
            row = RolloutRecord(key, Outcome.SUBMITTED).with_patch("diff")
            journal.append_rollout(row)
            grade = GradeRecord(key, row.patch_sha256, end, GradeReason.TESTS, ended_at=1.0)
            journal.append_grade(grade)


TASKS = {"sound": SOUND, "flickers": FLICKERS, "fails": FAILS}


@pytest.mark.ray
@pytest.mark.slow
def test_what_this_host_can_not_grade_is_found_and_a_kill_costs_nothing(asked: RunRequest) -> None:
    leave_killed_round(asked, "killed-1", sound=True, flickers=True, fails=False)
    leave_killed_round(asked, "killed-2", sound=True)
    said = Console(file=io.StringIO(), width=80)

    calibration = calibrate(asked, said, again=True)

    killed_1, killed_2, round_3 = sorted(calibration_rounds().iterdir())
    assert (killed_1.name, killed_2.name) == ("killed-1", "killed-2")
    graded = {path.name for path in (round_3 / "rollouts").iterdir()}
    assert graded == {FLICKERS, FAILS}, "what was graded before the kill is not graded again"
    assert {i: (s.gradable, s.resolved, s.trials) for i, s in calibration.standings.items()} == {
        SOUND: (Gradable.OK, 2, 2),
        FLICKERS: (Gradable.FLICKERS, 1, 2),
        FAILS: (Gradable.NOT_GRADABLE, 0, 2),
    }
    assert "test_nobody_wrote" in calibration.standings[FAILS].why
    assert (calibration.untried, calibration.exit_code) == ((), EXIT_DONE)

    assert calibrate(asked, said).standings == calibration.standings
    assert len(list(calibration_rounds().iterdir())) == 3, "nothing was left to grade"


@pytest.mark.parametrize("key", ["agent.kind", "model.served_name"])
def test_a_setting_of_another_agent_is_refused(asked: RunRequest, key: str) -> None:
    other = RunRequest(asked.benchmark, settings={**SETTINGS, key: "mini"})

    with pytest.raises(ConfigError, match=f"--set {key}: gold patches are graded"):
        calibrate(other, Console(file=io.StringIO()))


@pytest.mark.slow
def test_a_round_that_can_not_be_read_hides_no_other(asked: RunRequest) -> None:
    leave_killed_round(asked, "killed-1", sound=True, flickers=True, fails=False)
    broken = RunPaths(calibration_rounds() / "broken")
    broken.root.mkdir()
    broken.journal.write_text("no database")
    said = Console(file=io.StringIO(), width=1000)

    calibration = calibrate(asked, said)

    assert {i: s.trials for i, s in calibration.standings.items()} == {
        SOUND: 1,
        FLICKERS: 1,
        FAILS: 1,
    }
    assert isinstance(said.file, io.StringIO)
    assert f"the round {broken.root} is left out: " in said.file.getvalue()


@pytest.mark.slow
def test_a_round_that_brought_nothing_is_no_success(
    asked: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_killed_round(asked, "killed-1", sound=True, flickers=True, fails=False)
    monkeypatch.setattr(rounds, "_grade", lambda *_: EXIT_FAILURES_LEFT)

    calibration = calibrate(asked, Console(file=io.StringIO()), again=True)

    assert calibration.untried == ()
    assert set(calibration.graded_too_seldom) == {SOUND, FLICKERS, FAILS}
    assert calibration.exit_code == EXIT_FAILURES_LEFT


def found(*standings: GoldStanding, untried: tuple[str, ...] = ()) -> Calibration:
    exit_code = EXIT_FAILURES_LEFT if untried else EXIT_DONE
    return Calibration(
        "lite",
        "linux/amd64",
        "linux/arm64",
        "docker",
        {standing.instance_id: standing for standing in standings},
        untried,
        exit_code,
    )


OK = GoldStanding("a__b-1", Gradable.OK, 1, 1)
BAD = GoldStanding("sphinx-doc__sphinx-10325", Gradable.NOT_GRADABLE, 0, 2, "no \x1b[31m[x] " * 40)
ODD = GoldStanding("a__b-3", Gradable.FLICKERS, 1, 2, "1 of 9 tests failed: t")


def shown(calibration: Calibration) -> str:
    console = Console(file=io.StringIO(), width=80, markup=False, emoji=False)
    if (table := render_calibration(calibration)) is not None:
        console.print(table, highlight=False)
    for line in calibration_lines(calibration):
        console.print(line, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_calibration_is_told_with_reasons_and_how_often() -> None:
    text = shown(found(OK, ODD, BAD))

    assert text.index("✗ sphinx-doc__sphinx-10325") < text.index("~ a__b-3")
    assert "can't be graded here, resolved 0 of 2 times" in text
    assert "flickers, resolved 1 of 2 times" in text
    assert "1 can be graded here, 1 can't be graded here, 1 flickers" in text
    assert "docker sandboxes, linux/amd64 images on linux/arm64" in text
    assert "\x1b" not in text
    assert max(map(len, text.split("\n")[:8])) <= 80


def test_what_comes_next_is_told() -> None:
    assert "--again finds what flickers" in shown(found(OK))
    unfinished = shown(found(OK, untried=("a__b-4",)))
    assert "1 not tried yet" in unfinished
    assert "not tried yet: a__b-4\nthe same command goes on" in unfinished
    assert "--again" not in shown(found(ODD, OK))
    seldom = shown(replace(found(OK), graded_too_seldom=("a__b-1",)))
    assert "1 instance not graded as often as asked for: the same command goes on" in seldom
    assert "--again" not in seldom
    stopped = replace(found(OK, untried=("z",)), exit_code=EXIT_INTERRUPTED)
    assert shown(stopped).endswith("stopped: the same command goes on\n")


def test_a_calibration_is_json() -> None:
    told = json.loads(json.dumps(calibration_dict(found(OK, BAD, ODD, untried=("z",)))))

    assert told["counts"] == {"ok": 1, "not_gradable": 1, "flickers": 1}
    assert told["instances"]["a__b-3"]["resolved"] == 1
    assert told["untried"] == ["z"]
