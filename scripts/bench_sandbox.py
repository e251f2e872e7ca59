#!/usr/bin/env python3
"""What a sandbox costs until its agent starts (set-up), until the search for its future is over
(searched), and its harvest, in containers of one image.

    scripts/bench_sandbox.py swebench/sweb.eval.x86_64.sympy_1776_sympy-20590:latest

Three ways, side by side, alone and several at once: of an image that nobody has looked at; of one
that is known to be clean, where all files are read all the same; and with what was kept of it, and
a harvest that reads what was touched. Seconds are the clock's, and CPU seconds those of all
programs in the container: a busy host changes the first, and hardly the second.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from orchestrator.backends import SandboxSpec
from orchestrator.backends.docker import activation
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.sandbox import DockerSandbox
from orchestrator.report.bars import bar
from orchestrator.types import Instance, RolloutKey
from orchestrator.worker import images_seen
from orchestrator.worker.harvest import harvest
from orchestrator.worker.set_up import look_at

EDIT = "echo '# changed' >> $(git ls-files '*.py' | head -n 1)"
READ_BEFORE = "known, all is read"
WAYS = ("seen for the first time", READ_BEFORE, "known, the touched read")


@dataclass(frozen=True)
class Taken:
    """Seconds, and seconds of CPU in the container."""

    set_up_s: float
    """Until the agent may start."""
    searched_s: float
    """Until it gets the model's first answer, if that does not take longer by itself."""
    set_up_cpu_s: float
    harvest_s: float
    harvest_cpu_s: float
    patch: str


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SWE_ORCHESTRATOR_CACHE"] = f"{folder}/cache"
        instance = _instance(options.image)
        spec = SandboxSpec(
            key=RolloutKey("bench-sandbox", instance.instance_id, 1),
            run_dir=folder,
            driver_host="",
            image=options.image,
            task_dir=None,
            base_commit=instance.base_commit,
            platform=options.platform,
            memory_gb=4,
            cpus=0,
            pids=512,
            network=False,
            lifetime_s=1800,
        )
        alone, at_once = _measure(spec, instance, options.times, options.at_once)
    console = Console()
    console.print(_table("alone", alone))
    console.print(_table(f"{options.at_once} at once", at_once))
    if (
        len({taken.patch for rows in (alone, at_once) for some in rows.values() for taken in some})
        > 1
    ):
        print("The patches differ.")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="with a git repository in /testbed")
    parser.add_argument("--platform", default="linux/amd64")
    parser.add_argument("--times", type=int, default=3, help="that each is done alone")
    parser.add_argument("--at-once", type=int, default=4)
    return parser.parse_args()


def _instance(image: str) -> Instance:
    client = connect()
    command = ["git", "-c", "safe.directory=*", "-C", "/testbed", "rev-parse", "HEAD"]
    head = client.containers.run(image, command, entrypoint="", remove=True)
    client.close()
    named = re.search(r"([\w-]+)_1776_([\w.-]+)-\d+", image)
    repository = "/".join(named.groups()) if named else "some/repository"
    return Instance("bench__sandbox-1", repository, head.decode().strip(), "", image)


def _measure(
    spec: SandboxSpec, instance: Instance, times: int, at_once: int
) -> tuple[dict[str, list[Taken]], dict[str, list[Taken]]]:
    _one(spec, instance, WAYS[2])  # from now on it is known
    alone: dict[str, list[Taken]] = {way: [] for way in WAYS}
    for _ in range(times):
        for way in WAYS:  # in turn, so that a host that is busy for a while is so for all
            with _knowing(way):
                alone[way].append(_one(spec, instance, way))
    together = {}
    for way in WAYS:
        with _knowing(way), ThreadPoolExecutor(at_once) as pool:
            works = [pool.submit(_one, spec, instance, way) for _ in range(at_once)]
            together[way] = [work.result() for work in works]
    return alone, together


@contextmanager
def _knowing(way: str) -> Iterator[None]:
    """What is known of the image: nothing, that it is clean, or all."""
    if way == WAYS[0]:
        with tempfile.TemporaryDirectory() as folder, _replaced(os.environ, folder):
            yield
    elif way == READ_BEFORE:
        recall, read = images_seen.recall, activation.read_kept
        images_seen.recall, activation.read_kept = (lambda key: None), (lambda path: None)
        try:
            yield
        finally:
            images_seen.recall, activation.read_kept = recall, read
    else:
        yield


@contextmanager
def _replaced(environment: os._Environ[str], cache: str) -> Iterator[None]:
    before = environment["SWE_ORCHESTRATOR_CACHE"]
    environment["SWE_ORCHESTRATOR_CACHE"] = cache
    try:
        yield
    finally:
        environment["SWE_ORCHESTRATOR_CACHE"] = before


def _one(spec: SandboxSpec, instance: Instance, way: str) -> Taken:
    started = time.monotonic()
    with DockerSandbox.start(spec) as sandbox:
        baseline, search = look_at(sandbox, spec, instance)
        set_up_s = time.monotonic() - started
        search.wait()
        searched_s, set_up_cpu_s = time.monotonic() - started, _cpu_s(sandbox)
        sandbox.exec(EDIT, 60)
        if way != WAYS[2]:
            baseline = replace(baseline, second="", index="")
        before_s, started = _cpu_s(sandbox), time.monotonic()
        patch, _ = harvest(sandbox, baseline)
        harvest_s = time.monotonic() - started
        return Taken(
            set_up_s, searched_s, set_up_cpu_s, harvest_s, _cpu_s(sandbox) - before_s, patch
        )


def _cpu_s(sandbox: DockerSandbox) -> float:
    container = sandbox._container
    said = container.client.api.stats(container.id, stream=False, one_shot=True)  # type: ignore
    return float(said["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def _table(title: str, taken: dict[str, list[Taken]]) -> Table:
    table = Table(title=title, title_justify="left")
    titles = ("", "searched", "set-up", "CPU", "", "ratio", "harvest", "CPU", "", "ratio")
    for name in titles:
        table.add_column(name, justify="left" if not name else "right")
    set_up = {way: _median(some, lambda one: one.set_up_s) for way, some in taken.items()}
    harvested = {way: _median(some, lambda one: one.harvest_s) for way, some in taken.items()}
    for way, some in taken.items():
        cells = [way, f"{_median(some, lambda one: one.searched_s):.2f} s"]
        for seconds, cpu_s in (
            (set_up, _median(some, lambda one: one.set_up_cpu_s)),
            (harvested, _median(some, lambda one: one.harvest_cpu_s)),
        ):
            drawn = bar(round(1000 * seconds[way]), round(1000 * max(seconds.values())), 12)
            ratio = seconds[way] / seconds[READ_BEFORE]
            cells += [f"{seconds[way]:.2f} s", f"{cpu_s:.2f} s", drawn, f"{ratio:.2f}"]
        table.add_row(*cells)
    return table


def _median(some: list[Taken], of: Callable[[Taken], float]) -> float:
    return statistics.median(of(one) for one in some)


if __name__ == "__main__":
    sys.exit(main())
