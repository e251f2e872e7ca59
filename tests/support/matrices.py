"""Runs of a matrix as they stand, made of a few words an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.journal.views import SessionRow
from orchestrator.matrix.cells import Cell
from orchestrator.matrix.results import RunResult
from orchestrator.report.build import build_report
from orchestrator.types import (
    CallCounts,
    Failure,
    FailureKind,
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutKey,
    RolloutRecord,
    Usage,
)


@dataclass(frozen=True)
class Played:
    """How an instance went in a run: resolved or not, unless it failed or never started."""

    resolved: bool = True
    outcome: Outcome | None = Outcome.SUBMITTED
    failure: FailureKind | None = None
    graded: bool = True
    patch_bytes: int = 10
    steps: int = 9
    calls: CallCounts | None = None
    unusable: int = 0


RESOLVED, UNRESOLVED = Played(), Played(resolved=False)
FAILED = Played(outcome=None, failure=FailureKind.WORKER_LOST)
NOT_STARTED = Played(outcome=None)
EMPTY = Played(outcome=Outcome.GAVE_UP, patch_bytes=0, resolved=False, graded=False)
NOT_GRADED = Played(graded=False)
SALVAGED = Played(outcome=Outcome.STEP_LIMIT)


@dataclass
class Table:
    """Adds runs to a matrix of one benchmark or several."""

    runs: list[RunResult] = field(default_factory=list)

    def add(
        self,
        model: str | None,
        agent: str,
        played: Mapping[str, Played] | Sequence[Played] | None,
        attempt: int = 1,
        benchmark: str = "smoke",
        problem: str = "",
    ) -> None:
        """`played` by instance, or in order; None: the run never started."""
        cell = Cell(benchmark, model, agent)
        run_id = f"m.{model}.{agent}.{attempt}"
        if played is None:
            self.runs.append(RunResult(run_id, cell, attempt, problem=problem))
            return
        if not isinstance(played, Mapping):
            played = {f"org__box-{n}": one for n, one in enumerate(played, start=1)}
        state = state_of(run_id, played)
        report = build_report(config(), state, {})
        self.runs.append(RunResult(run_id, cell, attempt, report, state))


@cache
def config() -> RunConfig:
    return load_config(RunRequest("demo", agent="mini", run_id="m"))


def state_of(run_id: str, played: Mapping[str, Played]) -> RunState:
    rollouts, grades = [], []
    for instance_id, one in played.items():
        key = RolloutKey(run_id, instance_id, 1)
        if one.outcome is None and one.failure is None:
            continue
        rollouts.append(
            RolloutRecord(
                key,
                one.outcome,
                Failure(one.failure, "it broke") if one.failure else None,
                salvaged=one.outcome not in (None, Outcome.SUBMITTED) and one.patch_bytes > 0,
                patch_bytes=one.patch_bytes if one.outcome else 0,
                usage=Usage(steps=one.steps, prompt_tokens=90, completion_tokens=10),
                started_at=1000.0,
                ended_at=1360.0,
                calls=one.calls,
                unusable_answers=one.unusable,
            )
        )
        if one.outcome and one.graded:
            sha256 = rollouts[-1].patch_sha256
            grades.append(GradeRecord(key, sha256, one.resolved, GradeReason.TESTS))
    return RunState(
        run_id,
        dict.fromkeys(played, "org/box"),
        rollouts,
        grades,
        sessions=[SessionRow(1000.0, 4600.0, 4600.0)],
    )


EVENING = {
    # the users' own first evening
    ("gemma", "openhands"): Played(
        False,
        Outcome.STEP_LIMIT,
        steps=52,
        calls=CallCounts(52, {"missing parameters": 30, "unknown tool": 11}),
    ),
    ("gemma", "sweagent"): Played(),
    ("qwen", "openhands"): Played(calls=CallCounts(9, {"missing parameters": 1})),
    ("qwen", "sweagent"): SALVAGED,
}
