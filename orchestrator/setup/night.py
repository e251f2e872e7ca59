"""Whether a night holds the benchmark: a guess, from the profiles."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.driver.capacity import choose_slots, grading_s
from orchestrator.driver.this_host import memory_here
from orchestrator.report.words import duration

LITE = 300
"""Instances."""


def night_lines(config: RunConfig, host: Host, hours: float) -> Iterator[str]:
    """How long `lite` takes with this model on this host, in nights of so many hours."""
    assert config.model is not None, "its profile was just made"
    slots = choose_slots(config.cluster, [config.model], host, memory_here(), LITE)
    rolling_s = LITE * config.model.seconds_per_rollout / slots.count
    graded_s = LITE * grading_s(config, host) / config.cluster.grading.slots
    wall_s = max(rolling_s, graded_s)
    nights = math.ceil(wall_s / 3600 / hours)
    fits = f"a night of {hours:g} hours holds it"
    if nights > 1:
        fits = f"{nights} nights of {hours:g} hours (Ctrl-C twice in the morning, then `resume`)"
    took = f"about {duration(wall_s)} at {slots.count} at once"
    yield f"lite has {LITE} instances, {took}: {fits}"
    yield f"{slots.count} at once: {slots.bound}"
