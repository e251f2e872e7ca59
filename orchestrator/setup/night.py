"""Whether a night holds the benchmark: a guess, from the profiles."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.driver.capacity import grading_line, make_capacity
from orchestrator.driver.plan import Plan
from orchestrator.driver.this_host import memory_here
from orchestrator.report.words import duration
from orchestrator.types import RolloutKey

LITE = 300
"""Instances."""


def night_lines(config: RunConfig, host: Host, hours: float) -> Iterator[str]:
    """How long `lite` takes with this model on this host, in nights of so many hours."""
    assert config.model is not None, "its profile was just made"
    plan = Plan(tuple(RolloutKey("lite", str(n), 1) for n in range(LITE)), (), 0)
    capacity = make_capacity(config, plan, host, memory_here())
    slots, wall_s = capacity.slots, capacity.wall_s
    nights = math.ceil(wall_s / 3600 / hours)
    fits = f"a night of {hours:g} hours holds it"
    if nights > 1:
        fits = f"{nights} nights of {hours:g} hours (Ctrl-C twice in the morning, then `resume`)"
    took = f"about {duration(wall_s)} at {slots.count} at once"
    yield f"lite has {LITE} instances, {took}: {fits}"
    yield f"{slots.count} at once: {slots.bound}"
    yield grading_line(capacity.grading)
