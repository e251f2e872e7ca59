"""Instances that the harness reaches no verdict on: what a person has decided, or is to decide."""

from __future__ import annotations

import time
from collections.abc import Iterator

from orchestrator.errors import one_line
from orchestrator.journal.views import RunState
from orchestrator.report.words import counted
from orchestrator.types import Decision, FailureKind

GRADES_TO_WARN = 3
"""So many grades of one patch that failed are more than bad luck."""
WAYS = {
    FailureKind.HARNESS_UNAVAILABLE: (
        "more memory (`resume --set cluster.grading.memory_gb=N`)",
        "a look whether its gold patch is graded (`--agent gold -i {instance_id}`)",
    ),
    FailureKind.TESTS_TOO_SLOW: (
        "more time (`resume --set cluster.grading.emulated_timeout_s=N`)",
        "`grade {run_id}` on a host whose processors are those of its images",
    ),
}
"""What can be done about a grade that failed so."""
SHOWN = 5
"""Instances that are named in one warning each; of more there is their number."""


def decision_words(decision: Decision) -> str:
    """`decided by ana on 2026-11-26: its tests take 30 GB`."""
    day = time.strftime("%Y-%m-%d", time.localtime(decision.at))
    return f"decided by {decision.by} on {day}: {decision.because}"


def undecided_warnings(state: RunState) -> Iterator[str]:
    """What was decided without the harness, then what fails again and again, with the ways out."""
    if state.decided:
        yield (
            f"{counted(len(state.decided), 'instance')} counted as unresolved because a person "
            f"said so, and not by a verdict of the harness: {', '.join(sorted(state.decided))}"
        )
    stuck = [i for i in state.instances if i in state.set_aside or _is_hard_to_grade(state, i)]
    for instance_id in stuck[:SHOWN]:
        yield _stuck(state, instance_id)
    if len(stuck) > SHOWN:
        more = counted(len(stuck) - SHOWN, "more instance")
        yield f"{more} failed again and again: see the table of them"


def _is_hard_to_grade(state: RunState, instance_id: str) -> bool:
    is_waiting = instance_id in state.ungraded and instance_id not in state.decided
    return is_waiting and state.failure_counts[instance_id] >= GRADES_TO_WARN


def _stuck(state: RunState, instance_id: str) -> str:
    failure, count = state.failures[instance_id], state.failure_counts[instance_id]
    is_grade = instance_id in state.outcomes
    what = "grades of its patch" if is_grade else "rollouts"
    decide = f"python -m orchestrator decide {state.run_id} {instance_id}"
    ways = [
        way.format(run_id=state.run_id, instance_id=instance_id)
        for way in (WAYS.get(failure.kind, ()) if is_grade else ())
    ]
    if instance_id in state.set_aside:
        ways.append(f"`{decide} --again --because WHY` to have it redone")
    ways.append(f"`{decide} --unresolved --because WHY` to count it as unresolved")
    aside = ", and it is set aside" if instance_id in state.set_aside else ""
    return (
        f"{instance_id}: {count} {what} failed{aside}; last {failure.kind}: "
        f"{one_line(failure.detail)}. What can be done: {'; '.join(ways)}."
    )
