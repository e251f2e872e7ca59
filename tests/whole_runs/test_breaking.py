"""Breaking runs on purpose: kills, stops, a full disk. Nothing may be lost, doubled or left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from support.commands import CommandLine, personas, wait_until

from orchestrator.backends.process.processes import MARKER
from orchestrator.journal import read_journal
from orchestrator.types import FailureKind, RolloutRecord

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.docker
def test_killed_drivers_lose_and_double_nothing(tmp_path: Path) -> None:
    """The short version of what scripts/chaos.py does for thirty kills. `test_matrix.py` kills runs
    in process sandboxes."""
    command = [sys.executable, str(ROOT / "scripts" / "chaos.py"), "--kills", "2", "--seed", "1"]
    command += ["--runs-dir", str(tmp_path), "--instances", ".*(ledger|-5).*"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills over" in done.stdout


def test_one_interrupt_lets_the_running_finish_and_resume_does_the_rest(
    orchestrate: CommandLine,
) -> None:
    words = orchestrate.launch_words("process", "stopped", "--set", "model.personas.default=slow:1")
    process = orchestrate.start(*words, "--workers", "2", "--instances", "orchard__.*")
    scratch = orchestrate.runs_dir / "stopped" / "scratch"
    wait_until(lambda: scratch.is_dir() and len(list(scratch.iterdir())) == 2, "two sandboxes")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    state = read_journal(orchestrate.runs_dir / "stopped" / "journal.sqlite")
    assert len(state.outcomes) == 2
    assert not scratch.exists()
    assert f"resume {orchestrate.runs_dir / 'stopped'}" in stdout
    ended = orchestrate("resume", "stopped", "--json")
    assert (ended.exit_code, ended.report["resolved"]) == (0, 3), ended.stderr
    attempts = {row.instance_id: row.key.attempt for row in rollouts(orchestrate)}
    assert set(attempts.values()) == {1}


def interrupt_twice(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    time.sleep(1)  # two signals at the very same moment may be delivered as one
    process.send_signal(signal.SIGINT)


def close_terminal(process: subprocess.Popen[str]) -> None:
    """Its shell says so as well, and so may a multiplexer."""
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGHUP)


def end_the_host(process: subprocess.Popen[str]) -> None:
    """As a stopped service or a shut-down does: each process is told, whatever its group; and as
    `timeout` does: first the one that it started, then its group. Sandboxes are left out, as those
    of an engine live on."""
    for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if MARKER not in one.environ():
                one.send_signal(signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)


@pytest.mark.usefixtures("in_the_foreground")
@pytest.mark.parametrize("stop", [interrupt_twice, close_terminal, end_the_host])
def test_a_stop_at_once_harvests_what_runs_and_reports(
    orchestrate: CommandLine, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    # the second answer mends the bug, and the third one takes long
    flags = personas(orchard__ledger_12="never_submits")
    more = ["--instances", "orchard__ledger-12", "--set", "rollout.max_steps=100000"]
    process = orchestrate.start(*orchestrate.launch_words("process", "stopped", *flags, *more))
    scratch = orchestrate.runs_dir / "stopped" / "scratch"
    wait_until(lambda: any(scratch.glob("*/testbed/.git")), "a sandbox")
    wait_until(lambda: changed(scratch), "the agent's change")
    stop(process)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "")
    assert f"resume {orchestrate.runs_dir / 'stopped'}" in stdout
    assert (orchestrate.runs_dir / "stopped" / "report.md").exists()
    assert not scratch.exists()
    (rollout,) = rollouts(orchestrate)
    assert rollout.failure is not None
    assert str(rollout.failure.kind) == "interrupted"
    folder = orchestrate.runs_dir / "stopped" / "rollouts" / "orchard__ledger-12" / "1"
    assert "diff --git" in (folder / "partial.diff").read_text(encoding="utf-8")
    assert not (folder / "patch.diff").exists()


@pytest.mark.parametrize("name", ["orchestrator.driver.ray_watch", "raylet", "gcs_server"])
def test_a_run_whose_ray_is_killed_ends_at_once_and_can_be_resumed(
    orchestrate: CommandLine, name: str
) -> None:
    """What runs would be waited for in vain, and Ray itself ends its driver after a minute."""
    words = ["--instances", "orchard__ledger-12", "--set", "model.personas.default=slow:1000"]
    process = orchestrate.start(*orchestrate.launch_words("process", "stopped", *words))
    scratch = orchestrate.runs_dir / "stopped" / "scratch"
    wait_until(lambda: any(scratch.glob("*/testbed/.git")), "a sandbox")
    children = psutil.Process(process.pid).children(recursive=True)
    next(p for p in children if any(w.endswith(name) for w in p.cmdline()[:3])).kill()

    _, stderr = process.communicate(timeout=40)

    assert (process.returncode, "Traceback" in stderr) == (3, False)
    assert stderr.splitlines()[-1].startswith("error: Ray's processes on this host were killed")
    assert "`resume` goes on" in stderr
    assert not scratch.exists()


def has_asked(orchestrate: CommandLine) -> int:
    """How many rollouts have had an answer."""
    journal = orchestrate.runs_dir / "stopped" / "journal.sqlite"
    return len(
        {request.key for request in read_journal(journal).requests} if journal.exists() else ()
    )


@pytest.mark.parametrize(
    "agent",
    [
        pytest.param(("mini", "process"), id="mini"),
        pytest.param(
            ("sweagent", "docker"), id="sweagent", marks=[pytest.mark.docker, pytest.mark.sweagent]
        ),
    ],
)
def test_a_killed_worker_costs_all_that_ran_in_it_one_retry_and_doubles_nothing(
    orchestrate: CommandLine, agent: tuple[str, str]
) -> None:
    name, sandbox = agent
    words = ["--agent", name, "--set", "model.personas.default=slow:2"]
    words += ["--set", "rollout.retry_delay_s=0.1", "--instances", "orchard__.*", "--json"]
    process = orchestrate.start(*orchestrate.launch_words(sandbox, "stopped", *words))
    wait_until(lambda: has_asked(orchestrate) == 3, "three rollouts that ask the model")
    (worker,) = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "ray::_NodeWorker" in " ".join(child.cmdline())
    ]
    worker.kill()
    stdout, stderr = process.communicate(timeout=200)

    assert (process.returncode, "Traceback" in stderr) == (0, False), stderr
    assert json.loads(stdout)["resolved"] == 3
    by_instance = defaultdict(list)
    for rollout in rollouts(orchestrate):
        kind = rollout.failure.kind if rollout.failure else None
        by_instance[rollout.instance_id].append((rollout.key.attempt, kind))
    assert len(by_instance) == 3
    for tries in by_instance.values():
        assert sorted(tries) == [(1, FailureKind.SHARED_WORKER_LOST), (2, None)]
    grades = read_journal(orchestrate.runs_dir / "stopped" / "journal.sqlite").grades
    assert sorted(grade.instance_id for grade in grades) == sorted(by_instance)
    assert not (orchestrate.runs_dir / "stopped" / "scratch").exists()


def test_a_stop_while_a_run_starts_ends_what_it_has_started(orchestrate: CommandLine) -> None:
    process = orchestrate.start(*orchestrate.launch_words("process", "stopped"))
    children = psutil.Process(process.pid).children
    wait_until(lambda: len(children()) == 2, "the gateway and Ray's head")
    started = children()
    os.killpg(process.pid, signal.SIGTERM)

    _, stderr = process.communicate(timeout=20)

    assert (process.returncode, stderr) == (130, "interrupted\n")
    assert not any(child.is_running() for child in started)


def changed(scratch: Path) -> bool:
    """Whether something differs in a sandbox that is laid out to its second commit."""
    for testbed in scratch.glob("*/testbed"):
        script = "[ $(git rev-list --count HEAD) = 2 ] && ! git diff --quiet HEAD"
        if subprocess.run(["bash", "-c", script], cwd=testbed, capture_output=True).returncode == 0:
            return True
    return False


def rollouts(orchestrate: CommandLine) -> Sequence[RolloutRecord]:
    return read_journal(orchestrate.runs_dir / "stopped" / "journal.sqlite").rollouts


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 60 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_reported_before_the_start(small_disk: Path) -> None:
    ended = CommandLine(small_disk / "runs").launch("process", "full", "--agent", "gold")
    assert ended.exit_code == 3
    assert "min_free_disk_gb" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (small_disk / "runs").exists()


def test_disk_that_fills_up_ends_the_run_and_resume_goes_on(small_disk: Path) -> None:
    orchestrate = CommandLine(small_disk / "runs")
    words = ["--agent", "gold", "--set", "cluster.min_free_disk_gb=0.001"]
    process = orchestrate.start(*orchestrate.launch_words("process", "full", *words))
    wait_until((orchestrate.runs_dir / "full" / "journal.sqlite").exists, "the journal")
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 3, stderr
    assert stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in stderr
    ballast.unlink()
    ended = orchestrate("resume", "full", "--json")
    assert (ended.exit_code, ended.report["resolved"]) == (0, 12), ended.stderr
