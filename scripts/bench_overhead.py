#!/usr/bin/env python3
"""The orchestrator's own time an instance, and its memory, at 1, 4 and 8 slots.

    scripts/bench_overhead.py --sandbox process

Own time is what passes from the moment the driver hands a rollout or grade to the executor to the
moment its result is in the journal, less the seconds that the image, the sandbox, the agent and the
harness took: Ray, imports, serialisation, files, journal. The endpoint answers at once. Memory is
the proportional set size (PSS; on macOS the resident one), at its peak.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.doctor.case import Case
from orchestrator.doctor.examine import require_ready
from orchestrator.driver.capacity import Capacity, Slots
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.plan import make_plan
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.driver.stop import StopSignal
from orchestrator.gold_answers import GoldAnswer, seal, unseal
from orchestrator.journal import Journal, RunState
from orchestrator.paths import RunPaths
from orchestrator.report.markdown import bar
from orchestrator.run.folder import create_run
from orchestrator.run.joined import Joined
from orchestrator.run.lock import make_lock
from orchestrator.run.ready import Session
from orchestrator.run.services import start_services
from orchestrator.run.together import make_driver
from orchestrator.types import GradeResult, RolloutKey, RolloutResult

ROLES = ("driver", "gateway", "ray", "workers")
AIM_OWN_S = 1.0
AIM_MEMORY_MB = 1000


@dataclass
class Measured:
    slots: int
    instances: int
    resolved: int = 0
    start_s: float = 0.0
    work_s: float = 0.0
    rollout_own_s: list[float] = field(default_factory=list)
    grade_own_s: list[float] = field(default_factory=list)
    peak_mb: dict[str, float] = field(default_factory=dict)

    @property
    def own_s(self) -> float:
        return (sum(self.rollout_own_s) + sum(self.grade_own_s)) / self.instances

    @property
    def warm_s(self) -> float:
        """Median rollout plus median grade: what an instance costs once the workers are up."""
        return median(self.rollout_own_s) + median(self.grade_own_s)

    @property
    def memory_mb(self) -> float:
        return sum(self.peak_mb.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", choices=("docker", "process"), default="process")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--copies", type=int, default=4, help="of the demo's 12 instances")
    parser.add_argument("--base", default=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE"))
    options = parser.parse_args()
    measured = []
    for slots in options.slots:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            measured.append(measure(slots, options, Path(folder)))
        m = measured[-1]
        print(f"{slots} slots: {m.own_s:.2f} s an instance, {m.memory_mb:.0f} MB", flush=True)
    print_table(measured)


def measure(slots: int, options: argparse.Namespace, runs_dir: Path) -> Measured:
    settings: dict[str, object] = {
        "cluster.sandbox.kind": options.sandbox,
        "cluster.workers": slots,
        "cluster.images.base": options.base,
    }
    config = load_config(RunRequest("demo", runs_dir=str(runs_dir), settings=settings))
    dataset = multiplied(load_dataset(config.benchmark), options.copies)
    result = Measured(slots, len(dataset.instances))
    assert config.agent is not None
    agent = load_agent_kind(config.agent, {})
    plan = make_plan(dataset.instances, RunState.of_new(config.run_id, dataset.instances))
    paths = RunPaths.of(config.runs_dir, config.run_id)
    checked = require_ready(Case(config, paths.root, dataset=dataset, agent=agent, plan=plan))
    lock = make_lock(config, dataset, checked, agent)
    create_run(paths, config, dataset, lock)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(paths.journal))
        session = Session(config, dataset, paths, lock, agent, plan, checked, journal)
        joined = Joined.of([session])
        began = time.monotonic()
        services = stack.enter_context(
            start_services([session], joined.lanes, slots, 1, Console(quiet=True))
        )
        stack.enter_context(peak_memory(result.peak_mb))
        result.start_s = time.monotonic() - began
        capacity = Capacity(Slots(slots, "measured"), GradingSlots.said(1), 0.0)
        driver = make_driver(joined, services, capacity, StopSignal())
        journal.begin_session()
        began = time.monotonic()
        started: dict[tuple[Stage, RolloutKey], float] = {}
        for event in driver.events(plan):
            now = time.monotonic()
            if isinstance(event, Start):
                started[event.stage, event.key] = now
            elif isinstance(event, RolloutResult):
                own = now - started[Stage.ROLLOUT, event.key]
                result.rollout_own_s.append(own - sum(event.record.phases_s.values()))
            elif isinstance(event, GradeResult):
                own = now - started[Stage.GRADE, event.key]
                result.grade_own_s.append(own - sum(event.record.phases_s.values()))
                result.resolved += bool(event.resolved)
        result.work_s = time.monotonic() - began
    assert result.resolved == result.instances, f"{result.resolved} of {result.instances} resolved"
    return result


def multiplied(dataset: Dataset, copies: int) -> Dataset:
    """Each instance so many times, under names of their own."""
    instances, answers = [], {}
    for number in range(copies):
        for instance in dataset.instances:
            answer = unseal(dataset.answers[instance.instance_id])
            name = f"{instance.instance_id}x{number}"
            row = {**answer.row, "instance_id": name}
            instances.append(replace(instance, instance_id=name))
            answers[name] = seal(GoldAnswer(name, answer.gold_patch, row))
    return Dataset(tuple(instances), answers, dataset.sha256)


@contextmanager
def peak_memory(peak_mb: dict[str, float]) -> Iterator[None]:
    """Sample this process and its children, by what they are for."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.5):
            now: dict[str, float] = dict.fromkeys(ROLES, 0.0)
            me = psutil.Process()
            for process in [me, *me.children(recursive=True)]:
                try:
                    now[role(process, me)] += memory_mb(process)
                except psutil.Error:
                    continue
            if sum(now.values()) > sum(peak_mb.values()):
                peak_mb.update(now)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def role(process: psutil.Process, me: psutil.Process) -> str:
    if process.pid == me.pid:
        return "driver"
    words = " ".join(process.cmdline())
    of_ours = ("ray::_NodeWorker", "ray::IDLE", "default_worker", "grade_server")
    if any(word in words for word in of_ours):
        return "workers"
    return "gateway" if "orchestrator.gateway" in words else "ray"


def memory_mb(process: psutil.Process) -> float:
    info = process.memory_full_info()
    return float(getattr(info, "pss", info.rss)) / 1e6


def median(values: Sequence[float]) -> float:
    return statistics.median_high(values) if values else 0.0


def print_table(measured: Sequence[Measured]) -> None:
    table = Table(title=f"own time and memory; aims {AIM_OWN_S:g} s and {AIM_MEMORY_MB} MB")
    heads = ("slots", "instances", "start s", "work s", "own s", "warm s", "ratio to aim")
    for head in (
        *heads,
        "driver MB",
        "gateway MB",
        "Ray MB",
        "workers MB",
        "MB a slot",
        "all MB",
        "ratio to aim",
    ):
        table.add_column(head, justify="right")
    for m in measured:
        peak = m.peak_mb
        table.add_row(
            str(m.slots),
            str(m.instances),
            f"{m.start_s:.1f}",
            f"{m.work_s:.1f}",
            f"{m.own_s:.2f}",
            f"{m.warm_s:.2f}",
            f"{m.own_s / AIM_OWN_S:.2f}",
            *(f"{peak[name]:.0f}" for name in ROLES),
            f"{peak['workers'] / m.slots:.0f}",
            f"{m.memory_mb:.0f}",
            f"{m.memory_mb / AIM_MEMORY_MB:.2f}",
        )
    console = Console(width=140)
    console.print(table)
    largest = max(m.memory_mb for m in measured)
    for m in measured:
        console.print(f"{m.slots:>2} slots {bar(round(m.memory_mb), round(largest), 40)} MB")


if __name__ == "__main__":
    sys.exit(main())
