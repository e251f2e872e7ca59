"""--dry-run: what a launch would do, without starting anything or writing a file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.backends import Host
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.sections import AUTO
from orchestrator.dataset import Dataset
from orchestrator.display.summary import emulation_notice, host_lines
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Depth
from orchestrator.doctor.examine import checks_of, examine
from orchestrator.driver.capacity import Capacity, Memory, make_capacity
from orchestrator.driver.image_night import (
    ImageNight,
    find_image_facts,
    foresee_images,
    guess_image_facts,
    order_plan,
)
from orchestrator.driver.plan import Plan
from orchestrator.driver.this_host import free_disk_gb, memory_here
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.plugins import BACKENDS
from orchestrator.report.words import counted, duration
from orchestrator.run.image_words import image_lines, images_as_dict

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
                "bound": self.capacity.slots.bound,
                "grade": self.capacity.grade_slots,
                "grade_bound": self.capacity.grading.bound,
            },
            "rollouts": [
                {"instance_id": work.instance_id, "image": images[work.instance_id]}
                for work in self.plan.rollouts
            ],
            "images": images_as_dict(self.images),
            "missing_images": list(self.missing_images),
            "estimate": {
                "wall_s": round(self.capacity.wall_s),
            },
            "free_gb": round(self.free_gb, 1),
            "problems": list(self.problems),
        }


def make_preview(request: RunRequest) -> Preview:
    """Decide everything that a launch decides. Raises ConfigError, PrerequisiteError."""
    config = load_config(request)
    case = Case(config, Path(config.runs_dir), request)
    dataset, plan = case.dataset, case.plan
    examined = list(examine(case, checks_of(Depth.PLAN)))
    problems = [one.problem for one in examined if one.problem is not None]
    for problem in problems:
        if isinstance(problem, ConfigError):
            raise problem
    here = memory_here()
    try:
        host = case.host
        facts = find_image_facts(config, dataset.instances, host)
    except PrerequisiteError:  # which a check has told
        host = _host_that_is_away(config, here)
        facts = guess_image_facts(dataset.instances)
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
        images=foresee_images(
            [config], dataset.instances, plan, facts, slots, capacity.grade_slots, host
        ),
        free_gb=free_disk_gb(Path(config.runs_dir)),
        warnings=tuple(warning for one in examined for warning in one.warnings),
        problems=tuple(map(str, problems)),
    )


def _host_that_is_away(config: RunConfig, here: Memory) -> Host:
    """In place of one that does not answer: this host's own memory and cores."""
    wanted = config.cluster.sandbox.kind
    kind = next(iter(BACKENDS)) if wanted == AUTO else wanted
    return Host(f"{kind} (not there)", here.total_gb, os.cpu_count() or 1)


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
    capacity = preview.capacity
    lines = [
        f"{counted(len(plan.rollouts), 'rollout')} of {config.benchmark.name} by "
        f"{config.agent_name}{model}",
        *host_lines(config, plan, capacity, preview.host),
        *image_lines(config, preview.images, capacity.slots.count, time.time()),
        f"{preview.host.memory_gb:.0f} GB and {preview.host.cpus} cores for all",
        f"disk: {preview.free_gb:.0f} GB are free where the runs lie",
        f"time: about {duration(capacity.wall_s)}, a guess from the model's profile",
    ]
    parts: list[RenderableType] = [table, Text("\n".join(lines))]
    warnings = (*preview.warnings, *filter(None, [emulation_notice(config, preview.host)]))
    parts += [Text(warning, style="bold yellow") for warning in warnings]
    parts += [
        Text(f"launch would stop: {problem}", style="bold red") for problem in preview.problems
    ]
    return Group(*parts)
