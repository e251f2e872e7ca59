"""How soon the first call of a model comes, and what memory a slot takes, for several agents.

Starts N rollouts of each agent at once, each in a thread of this process, on the demo's first
instance, in containers (mini: in process sandboxes), for a played model. Prints, side by side: the
seconds until the last of them asks the model for the first time, with no process of the agent up
before; and the memory of all its processes at their peak, a slot (PSS).

usage: python scripts/bench_slots.py [--slots 1 4 8] [--agents mini sweagent openhands]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from orchestrator.agents import load_agent_kind
from orchestrator.agents.budget import Budget
from orchestrator.agents.context import AgentContext
from orchestrator.agents.runners import process
from orchestrator.backends import find_backend
from orchestrator.backends.base import SandboxSpec
from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import Benchmark, RolloutLimits
from orchestrator.dataset import load_dataset
from orchestrator.endpoint.client import Completion
from orchestrator.types import Instance, RolloutKey

SANDBOXES = {"mini": "process", "openhands": "docker", "sweagent": "docker"}
STAY_S = 6.0
"""How long each rollout waits for its first answer, while memory is looked at."""


@dataclass
class Clock:
    """When models were asked for the first time; all wait until the last was."""

    began: float = field(default_factory=time.monotonic)
    first_calls: list[float] = field(default_factory=list)

    def complete(self, messages: Any, tools: Any = None) -> Completion:
        self.first_calls.append(time.monotonic() - self.began)
        time.sleep(STAY_S)
        raise SystemExit  # it has been asked: that was all


def memory_mb() -> float:
    """Of this process's children, and of what their fork servers have forked (PSS)."""
    total = 0.0
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if f"sweo-{os.getuid()}" in " ".join(
                one.cmdline()
            ) and tempfile.gettempdir() in " ".join(one.cmdline()):
                total += one.memory_full_info().pss / 1e6
    return total


def measure(name: str, slots: int, instance: Instance) -> tuple[float, float]:
    """Seconds to the last first call, and MB a slot."""
    config = load_config(RunRequest("demo", agent=name, run_id="bench"))
    kind: Any = load_agent_kind(config.agent, {})
    backend = find_backend(SANDBOXES[name])
    own = psutil.Process().memory_full_info().pss / 1e6
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as folder:
        tempfile.tempdir = folder
        agents = [kind.create() for _ in range(slots)]
        mounts = agents[0].prepare("linux/amd64")
        for server in psutil.process_iter():  # prepare has started it: the clock begins without
            with contextlib.suppress(psutil.Error):
                if f"{folder}/" in " ".join(server.cmdline()):
                    server.kill()
                    server.wait(5)
        sandboxes = [
            backend.start(spec_of(config, instance, folder, n, mounts)) for n in range(slots)
        ]
        clock: Any = Clock()

        def roll(number: int) -> None:
            output = Path(folder) / f"out{number}"
            output.mkdir()
            budget = Budget(RolloutLimits())
            context = AgentContext(instance, sandboxes[number], "true", output, budget, clock)
            with contextlib.suppress(BaseException):
                agents[number].run(context)

        peak = 0.0
        with ThreadPoolExecutor(slots) as pool:
            running = [pool.submit(roll, number) for number in range(slots)]
            while not all(future.done() for future in running):
                here = psutil.Process().memory_full_info().pss / 1e6 - own
                peak = max(peak, memory_mb() + max(here, 0.0))
                time.sleep(0.2)
        for agent in agents:
            agent.close()
        for sandbox in sandboxes:
            sandbox.close()
        process._idle.kill()
        tempfile.tempdir = None
    return max(clock.first_calls, default=float("nan")), peak / slots


def spec_of(
    config: Any, instance: Instance, folder: str, number: int, mounts: tuple[str, ...]
) -> SandboxSpec:
    settings = config.cluster.sandbox
    return SandboxSpec(
        RolloutKey("bench", instance.instance_id, number + 1),
        folder,
        "",
        instance.image,
        instance.task_dir,
        instance.base_commit,
        settings.platform,
        1.0,
        0,
        512,
        False,
        600,
        mounts,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--agents", nargs="+", default=["mini", "sweagent", "openhands"])
    given = parser.parse_args()
    instance = load_dataset(Benchmark(name="demo", source="bundled")).instances[0]
    print("slots | agent     | first call s | MB a slot")
    for slots in given.slots:
        found = {name: measure(name, slots, instance) for name in given.agents}
        base_s, base_mb = found.get("sweagent", next(iter(found.values())))
        for name, (seconds, mb) in found.items():
            ratio = f"{seconds / base_s:.2f}x, {mb / base_mb:.2f}x of sweagent"
            print(f"{slots:5} | {name:9} | {seconds:12.1f} | {mb:9.0f} | {ratio}", flush=True)


if __name__ == "__main__":
    main()
