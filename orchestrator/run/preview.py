"""--dry-run: what a launch would do, without starting anything or writing a file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.agents import load_agent_kind
from orchestrator.backends import Host, choose_host, find_backend
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.address import require_address
from orchestrator.config.sections import AUTO
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.display.summary import emulation_notice, host_lines
from orchestrator.driver.capacity import Capacity, grades, make_capacity
from orchestrator.driver.plan import Plan, make_plan
from orchestrator.errors import PrerequisiteError
from orchestrator.journal import RunState
from orchestrator.plugins import BACKENDS
from orchestrator.report.words import duration
from orchestrator.run.image_words import image_lines, images_as_dict
from orchestrator.run.images import (
    ImageNight,
    find_image_facts,
    foresee_images,
    guess_image_facts,
    order_plan,
)
from orchestrator.run.preflight import (
    api_key,
    free_disk_gb,
    memory_here,
    require_disk,
    require_limits,
    require_mounts,
    require_personas,
)

ROWS_SHOWN = 12


@dataclass(frozen=True)
class Preview:
    """The plan, and what it was made from."""

    config: RunConfig
    dataset: Dataset
    plan: Plan
    host: Host
    capacity: Capacity
    missing_images: tuple[str, ...]
    images: ImageNight
    free_gb: float
    warnings: tuple[str, ...]
    """What may go wrong at night, as the backend found it."""
    problems: tuple[str, ...]
    """Prerequisites that a launch would stop at; the model's server is not asked."""

    def as_dict(self) -> dict[str, Any]:
        """For --json: everything, in the run's order."""
        images = {instance.instance_id: instance.image for instance in self.dataset.instances}
        return {
            "run_id": self.config.run_id,
            "benchmark": self.config.benchmark.name,
            "model": self.config.model.name if self.config.model else None,
            "agent": self.config.agent_name,
            "cluster": self.config.cluster.name,
            "sandbox": self.host.kind,
            "engine": {
                "name": self.host.engine_name,
                "version": self.host.engine_version,
                "platform": self.host.architecture,
                "memory_gb": round(self.host.memory_gb, 1),
                "cpus": self.host.cpus,
            },
            "emulation": self.host.emulation,
            "slots": {
                "rollout": self.capacity.slots.count,
                "grade": self.config.cluster.grading.slots,
                "bound": self.capacity.slots.bound,
            },
            "rollouts": [
                {"instance_id": work.instance_id, "image": images[work.instance_id]}
                for work in self.plan.rollouts
            ],
            "images": images_as_dict(self.images),
            "missing_images": list(self.missing_images),
            "estimate": {
                "wall_s": round(self.capacity.estimate.wall_s),
            },
            "free_gb": round(self.free_gb, 1),
            "problems": list(self.problems),
        }


def make_preview(request: RunRequest) -> Preview:
    """Decide everything that a launch decides. Raises ConfigError."""
    config = load_config(request)
    dataset = load_dataset(config.benchmark, config.selection)
    require_personas(config)
    problems: list[str] = []
    with _noted_in(problems):
        require_address(config, request)
    with _noted_in(problems):
        require_disk(config, Path(config.runs_dir))
    with _noted_in(problems):
        api_key(config)
    wanted = config.cluster.sandbox.kind
    kind = next(iter(BACKENDS)) if wanted == AUTO else wanted
    here = memory_here()
    host = Host(f"{kind} (not there)", here.total_gb, os.cpu_count() or 1)
    warnings: tuple[str, ...] = ()
    facts = guess_image_facts(dataset.instances)
    agent = load_agent_kind(config.agent, {}) if config.agent is not None else None
    with _noted_in(problems):
        host = choose_host(config, dataset.instances, agent.check if agent else None)
        backend, cluster = find_backend(host.kind), config.cluster
        facts = find_image_facts(config, dataset.instances, host)
        require_limits(cluster, host)
        if agent is not None:
            agent.check(host)
        require_mounts(config, host)
        warnings = backend.check(dataset.instances, cluster, host)
    plan = make_plan(dataset.instances, RunState.of_new(config.run_id, dataset.instances))
    capacity = make_capacity(config, plan, host, here)
    slots = capacity.slots.count
    plan = order_plan(config, dataset.instances, plan, facts, slots)
    return Preview(
        config=config,
        dataset=dataset,
        plan=plan,
        host=host,
        capacity=capacity,
        missing_images=facts.missing,
        images=foresee_images(config, dataset.instances, plan, facts, slots, host),
        free_gb=free_disk_gb(Path(config.runs_dir)),
        warnings=warnings,
        problems=tuple(problems),
    )


@contextmanager
def _noted_in(problems: list[str]) -> Iterator[None]:
    """Note what is missing, and go on."""
    try:
        yield
    except PrerequisiteError as error:
        problems.append(str(error))


def render_preview(preview: Preview) -> RenderableType:
    """For people: the head of the list, and what disk and night must hold."""
    config, plan = preview.config, preview.plan
    table = Table("#", "instance", "image", title=config.run_id, title_justify="left")
    images = {instance.instance_id: instance.image for instance in preview.dataset.instances}
    missing = set(preview.missing_images)
    for number, work in enumerate(plan.rollouts[:ROWS_SHOWN], start=1):
        where = "to get" if images[work.instance_id] in missing else "here"
        table.add_row(str(number), work.instance_id, where)
    if len(plan.rollouts) > ROWS_SHOWN:
        more = len(plan.rollouts) - ROWS_SHOWN
        table.add_row("", f"and {more} more (--json names all, and their images)", "")
    model = f" with {config.model.name}" if config.model else ""
    capacity, guess = preview.capacity, preview.capacity.estimate
    lines = [
        f"{len(plan.rollouts)} rollouts of {config.benchmark.name} by {config.agent_name}{model}",
        *host_lines(config, plan, capacity, preview.host),
        *image_lines(config, preview.images, capacity.slots.count, time.time()),
        f"{grades(config.cluster)} at once beside them; {preview.host.memory_gb:.0f} GB and "
        f"{preview.host.cpus} cores for all",
        f"disk: {preview.free_gb:.0f} GB are free where the runs lie",
        f"time: about {duration(guess.wall_s)}, a guess from the model's profile",
    ]
    parts: list[RenderableType] = [table, Text("\n".join(lines))]
    warnings = capacity.warnings + preview.warnings
    warnings += tuple(filter(None, [emulation_notice(config, preview.host)]))
    parts += [Text(warning, style="bold yellow") for warning in warnings]
    parts += [
        Text(f"launch would stop: {problem}", style="bold red") for problem in preview.problems
    ]
    return Group(*parts)
