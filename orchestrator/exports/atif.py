"""Trajectories in ATIF, the interchange format that Harbor reads: a file an instance.

https://www.harborframework.com/docs/agents/trajectory-format ; its models are in PyPI's harbor,
harbor.models.trajectories. The version named is the oldest that has all that is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Evidence
from orchestrator.exports.base import ACTION, Exported, RunToExport, iso, shortened
from orchestrator.paths import TRAJECTORY, folder_name, write_atomic
from orchestrator.text import writable

VERSION = "ATIF-v1.6"


def export_atif(run: RunToExport, folder: Path) -> Exported:
    """One of each instance with an outcome."""
    written = 0
    problems: list[str] = []
    for evidence in run.reader.read_all():
        if evidence.rollout is None:
            continue
        # one whose steps are gone is still whole: it has the issue
        problems += [problem for problem in evidence.problems if TRAJECTORY in problem]
        text = json.dumps(trajectory(run, evidence), ensure_ascii=False, indent=1)
        name = f"{folder_name(evidence.instance_id)}.trajectory.json"
        write_atomic(folder / name, text + "\n")
        written += 1
    return Exported(folder, f"{written:,} trajectories", missing=tuple(shortened(problems)))


def trajectory(run: RunToExport, evidence: Evidence) -> dict[str, Any]:
    """Harbor's `Trajectory` as JSON has it. Raises no error for odd text."""
    rollout, config = evidence.rollout, run.reader.config
    assert rollout is not None, "only what has an outcome is exported"
    statement = writable(run.instances[evidence.instance_id].problem_statement)
    steps = [{"step_id": 1, "source": "user", "message": statement}]
    steps += [_step(number, step) for number, step in enumerate(evidence.steps, start=2)]
    agent: dict[str, Any] = {
        "name": config.agent_name,
        "version": run.report.versions.get("swe-orchestrator", "unknown"),
    }
    if config.model:
        agent["model_name"] = config.model.served_name
    return {
        "schema_version": VERSION,
        "session_id": f"{run.reader.state.run_id}/{evidence.instance_id}/{rollout.key.attempt}",
        "agent": agent,
        "steps": steps,
        "final_metrics": {
            "total_prompt_tokens": rollout.usage.prompt_tokens,
            "total_completion_tokens": rollout.usage.completion_tokens,
            "total_steps": len(steps),
        },
        "extra": {
            "instance_id": evidence.instance_id,
            "repo": evidence.repo,
            "benchmark": config.benchmark.name,
            "attempt": rollout.key.attempt,
            "outcome": str(rollout.outcome),
            "resolved": evidence.grade.resolved if evidence.grade else None,
            "notes": list(rollout.notes),
        },
    }


def _step(number: int, step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {
        "step_id": number,
        "source": "agent",
        "message": writable(step.thought),
    }
    if step.time is not None:
        row["timestamp"] = iso(step.time)
    result: dict[str, Any] = {"content": writable(step.seen)}
    if step.action:
        call = f"call_{number}"
        arguments = {"command": writable(step.action)}
        row["tool_calls"] = [
            {"tool_call_id": call, "function_name": ACTION, "arguments": arguments}
        ]
        result["source_call_id"] = call
    row["observation"] = {"results": [result]}
    metrics = dict(_metrics(step))
    return row | ({"metrics": metrics} if metrics else {})


def _metrics(step: Step) -> Iterator[tuple[str, int]]:
    for name in ("prompt_tokens", "completion_tokens"):
        if (count := getattr(step, name)) is not None:
            yield name, count
