#!/usr/bin/env python3
"""Kill the driver with SIGKILL at random moments, resume, and see that nothing is lost or doubled.

    scripts/chaos.py --kills 30 --sandbox docker

An undisturbed run of the demo benchmark comes first. Then further runs are started, killed and
resumed until so many kills have hit; every one of them must end with the same verdicts, one outcome
and one verdict an instance, a whole predictions.jsonl, and nothing left running. Exits 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from orchestrator.backends.docker.engine import LABEL, connect
from orchestrator.backends.process.processes import MARKER
from orchestrator.config import load_run_config
from orchestrator.dataset import load_dataset
from orchestrator.journal import RunState, read_journal
from orchestrator.paths import RunPaths

PERSONAS = ("solves", "wrong", "never_submits", "breaks_format", "recovers", "overflows", "slow:1")
SESSION_LIMIT_S = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--instances", default=".*", help="regular expression over the demo's ids")
    parser.add_argument("--base", default=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE"))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    stamp = time.strftime("%Y%m%d-%H%M%S")

    calm = options.runs_dir / f"chaos-{stamp}-calm"
    started = time.monotonic()
    session(launch_command(options, calm.name))
    calm_s = time.monotonic() - started
    expected = verdicts(calm)
    print(f"undisturbed: {calm_s:.0f} s, verdicts {dict(Counter(expected.values()))}", flush=True)

    kills, number, problems = 0, 0, []
    while kills < options.kills:
        number += 1
        run_dir = options.runs_dir / f"chaos-{stamp}-{number}"
        hits = kill_until_done(options, run_dir, chance, calm_s, options.kills - kills)
        kills += hits
        found = check(run_dir, expected, options.sandbox)
        problems += found
        verdict = "; ".join(found) or "same verdicts, each graded once, nothing left running"
        print(f"run {number}: {hits} kills ({kills} of {options.kills}): {verdict}", flush=True)
    print(f"{kills} kills over {number} runs: {len(problems)} problems")
    return 1 if problems else 0


def launch_command(options: argparse.Namespace, run_id: str) -> list[str]:
    command = ["launch", "demo", "--run-id", run_id, "--runs-dir", str(options.runs_dir)]
    command += ["--sandbox", options.sandbox, "--workers", str(options.workers)]
    command += ["--instances", options.instances, "--set", "rollout.max_steps=12"]
    if options.base:
        command += ["--set", f"cluster.images.base={options.base}"]
    for number, instance in enumerate(sorted(demo_ids())):
        persona = PERSONAS[number % len(PERSONAS)]
        command += ["--set", f"model.personas.{instance}={persona}"]
    return command


def demo_ids() -> list[str]:
    from orchestrator.config import RunRequest, load_config

    config = load_config(RunRequest("demo"))
    return [instance.instance_id for instance in load_dataset(config.benchmark).instances]


def session(command: list[str], kill_after_s: float | None = None) -> bool:
    """Run one launch or resume; returns whether it was killed before it ended by itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=kill_after_s or SESSION_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if kill_after_s is None:
                raise SystemExit(f"{' '.join(command)} hangs") from None
            return True
    if process.returncode not in (0, 4):
        raise SystemExit(f"{' '.join(command)} exited {process.returncode}:\n{output}")
    return False


def kill_until_done(
    options: argparse.Namespace, run_dir: Path, chance: random.Random, calm_s: float, most: int
) -> int:
    """Launch, then kill and resume until the run ends by itself, or `most` kills have hit."""
    hits = 0
    while True:
        has_begun = (run_dir / "journal.sqlite").exists()
        resume = ["resume", run_dir.name, "--runs-dir", str(options.runs_dir)]
        command = resume if has_begun else launch_command(options, run_dir.name)
        kill_after_s = chance.uniform(0.5, calm_s) if hits < most else None
        if not session(command, kill_after_s):
            return hits
        hits += 1


def verdicts(run_dir: Path) -> dict[str, str]:
    """Every instance's outcome and verdict, as one word each."""
    state = read_journal(RunPaths(run_dir).journal)
    return {instance_id: verdict_of(state, instance_id) for instance_id in state.instances}


def verdict_of(state: RunState, instance_id: str) -> str:
    outcome = state.outcomes.get(instance_id)
    if outcome is None:
        return "no outcome"
    grade = state.verdicts.get(instance_id)
    graded = "ungraded" if grade is None else "resolved" if grade.resolved else "unresolved"
    return f"{outcome.outcome}/{graded}"


def check(run_dir: Path, expected: dict[str, str], sandbox: str) -> list[str]:
    """What is wrong with a run that was killed and resumed; nothing, mostly."""
    problems = []
    found = verdicts(run_dir)
    wrong = [
        f"{i}: {found.get(i)} instead of {e}" for i, e in expected.items() if found.get(i) != e
    ]
    problems += wrong
    state = read_journal(RunPaths(run_dir).journal)
    graded = Counter(row.instance_id for row in state.grades if row.resolved is not None)
    problems += [f"{i} graded {count} times" for i, count in graded.items() if count != 1]
    lines = (run_dir / "predictions.jsonl").read_text(encoding="utf-8").split("\n")
    predicted = Counter(json.loads(line)["instance_id"] for line in lines if line)
    if set(predicted) != set(expected) or set(predicted.values()) != {1}:
        problems.append(f"predictions.jsonl holds {sum(predicted.values())} lines")
    problems += left_running(run_dir, sandbox)
    load_run_config(run_dir / "run.yaml")
    return problems


def left_running(run_dir: Path, sandbox: str) -> list[str]:
    left = []
    if sandbox == "docker":
        label = f"{LABEL}.run-dir={run_dir.resolve()}"
        containers = connect().containers.list(all=True, filters={"label": label})
        left += [f"container {container.name} is left" for container in containers]
    for process in psutil.process_iter():
        try:
            owner = process.environ().get(MARKER, "")
        except (psutil.Error, OSError):
            continue
        if owner.startswith(str(run_dir.resolve())):
            left.append(f"process {process.pid} is left")
    return left


if __name__ == "__main__":
    sys.exit(main())
