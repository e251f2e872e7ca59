"""What a run has to do, as a pure function of its instances and its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.journal.views import RunState
from orchestrator.types import Instance, RolloutKey


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


def join_plans(plans: Sequence[Plan], instances: Sequence[Instance]) -> Plan:
    """The plans of several runs as one: instance by instance, in the order of `instances`, and all
    runs of an instance side by side."""
    rank = {instance.instance_id: number for number, instance in enumerate(instances)}

    def turn(key: RolloutKey) -> int:
        return rank[key.instance_id]

    return Plan(
        tuple(sorted((key for plan in plans for key in plan.rollouts), key=turn)),
        tuple(sorted((key for plan in plans for key in plan.grades), key=turn)),
        sum(plan.done for plan in plans),
        sum(plan.set_aside for plan in plans),
    )
