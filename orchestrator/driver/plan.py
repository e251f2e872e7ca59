"""What a run has to do, as a pure function of its instances and its journal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.config.schema import Cluster, Model, RunConfig
from orchestrator.journal.views import RunState
from orchestrator.types import Instance, RolloutKey

RESERVED_GB = 4.0
"""Memory that stays with the host, Ray and the driver when slots are chosen automatically."""
MAX_AUTO_SLOTS_PER_CPU = 4
"""A rollout waits for its model most of the time; its commands want a core now and then."""


@dataclass(frozen=True)
class Plan:
    rollouts: tuple[RolloutKey, ...]
    grades: tuple[RolloutKey, ...]
    """Rollouts that are done and whose patch has no verdict."""
    done: int
    """Instances that need nothing more."""
    set_aside: int = 0
    """Instances that have failed so often that a person is to decide."""

    @property
    def is_empty(self) -> bool:
        return not self.rollouts and not self.grades

    @property
    def without_rollouts(self) -> Plan:
        """The same without its rollouts."""
        return replace(self, rollouts=())


def make_plan(instances: Sequence[Instance], state: RunState) -> Plan:
    """What is left to do, in the run's order.

    An instance without an outcome is rolled out, under the next attempt number. An outcome whose
    patch has no verdict is graded. What a person has decided, or is to decide, is left alone.
    """
    ungraded = set(state.ungraded)
    rollouts, grades = [], []
    for instance in instances:
        instance_id = instance.instance_id
        outcome = state.outcomes.get(instance_id)
        if instance_id in state.decided or instance_id in state.set_aside:
            continue
        if outcome is None:
            attempt = state.attempts.get(instance_id, 0) + 1
            rollouts.append(RolloutKey(state.run_id, instance_id, attempt))
        elif instance_id in ungraded:
            grades.append(outcome.key)
    left, set_aside = len(rollouts) + len(grades), len(state.set_aside)
    return Plan(tuple(rollouts), tuple(grades), len(instances) - left - set_aside, set_aside)


def choose_slots(cluster: Cluster, model: Model | None, memory_gb: float, cpus: int) -> int:
    """How many rollouts at once: as configured, or what memory, cores and the model allow."""
    if isinstance(cluster.workers, int):
        return cluster.workers
    grading_gb = cluster.grading.slots * cluster.sandbox.memory_request_gb
    by_memory = math.floor(
        (memory_gb - RESERVED_GB - grading_gb) / cluster.sandbox.memory_request_gb
    )
    by_model = model.max_concurrency if model else cpus
    return max(1, min(by_memory, by_model, MAX_AUTO_SLOTS_PER_CPU * cpus))


def disk_warnings(
    config: RunConfig, missing: int, need_gb: float, free_gb: float
) -> tuple[str, ...]:
    """Where the missing images may not fit on the disk: that they may not, and the cure."""
    if not missing or need_gb <= free_gb - config.cluster.min_free_disk_gb:
        return ()
    return (
        f"about {need_gb:.0f} GB of images may not fit into {free_gb:.0f} GB: "
        "--set cluster.images.keep=false removes each once it is graded",
    )


@dataclass(frozen=True)
class Estimate:
    """How long the run will take, and what the disk must hold. Rough."""

    wall_s: float
    disk_gb: float


def estimate(config: RunConfig, plan: Plan, slots: int, missing_images: int) -> Estimate:
    per_rollout_s = config.model.seconds_per_rollout if config.model else 5.0
    grading_s = 3.0 if config.benchmark.is_bundled else 40.0
    rolling = len(plan.rollouts) * per_rollout_s / slots
    graded = len(plan.rollouts) + len(plan.grades)
    grading = graded * grading_s / config.cluster.grading.slots
    at_once = missing_images
    if not config.cluster.images.keep:
        at_once = min(missing_images, slots + 2 * config.cluster.grading.slots)
    return Estimate(max(rolling, grading), at_once * config.benchmark.image_gb)
