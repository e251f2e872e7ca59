"""A run as an evaluation log of Inspect, in the form of its JSON. Pure but for the files it reads.

https://inspect.aisi.org.uk/eval-logs.html ; `inspect_file` has Inspect's own library check it and
write it. A sample is an instance, with the rollout that counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Evidence
from orchestrator.exports.base import ACTION, RunToExport, iso
from orchestrator.text import writable
from orchestrator.types import Usage

SCORER = "swebench"


def inspect_log(run: RunToExport) -> dict[str, Any]:
    """Inspect's `EvalLog` as JSON has it."""
    report, state, model = run.report, run.reader.state, run.reader.config.model
    samples = [_sample(run, evidence) for evidence in run.reader.read_all()]
    ended = max((s.ended_at or s.last_seen_at for s in state.sessions), default=0.0)
    usage = _usage(report.tokens["prompt"], report.tokens["completion"])
    return {
        "version": 2,
        "status": "cancelled" if report.validity.state == "unfinished" else "success",
        "eval": _eval(run, len(samples)),
        "results": _results(report.resolve_rate, samples),
        "stats": {
            "started_at": iso(run.started_at),
            "completed_at": iso(ended),
            "model_usage": {model.served_name: usage} if model else {},
        },
        "samples": samples,
    }


def _eval(run: RunToExport, samples: int) -> dict[str, Any]:
    """What was run, and on what."""
    report, state, config = run.report, run.reader.state, run.reader.config
    return {
        "eval_id": state.run_id,
        "run_id": state.run_id,
        "created": iso(run.started_at),
        "task": config.benchmark.name,
        "task_id": state.run_id,
        "solver": config.agent_name,
        "tags": [report.validity.state],
        "dataset": {
            "name": config.benchmark.name,
            "location": config.benchmark.source,
            "samples": samples,
            "sample_ids": list(state.instances),
            "shuffled": config.selection.shuffle,
        },
        "model": config.model.served_name if config.model else "none",
        "model_base_url": config.model.endpoint.base_url if config.model else None,
        "config": {"epochs": 1},
        "packages": dict(report.versions),
        "metadata": {
            "validity": report.validity.words,
            "ci95": list(report.ci95),
            "warnings": list(report.warnings),
        },
    }


def _results(resolve_rate: float, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rate over all instances, and Inspect's own over those that have a verdict."""
    scored = [sample for sample in samples if sample["scores"]]
    right = sum(sample["scores"][SCORER]["value"] == "C" for sample in scored)
    metrics = {"resolve_rate": resolve_rate}
    metrics |= {"accuracy": right / len(scored)} if scored else {}
    return {
        "total_samples": len(samples),
        "completed_samples": sum(sample["error"] is None for sample in samples),
        "scores": [
            {
                "name": SCORER,
                "scorer": SCORER,
                "scored_samples": len(scored),
                "unscored_samples": len(samples) - len(scored),
                "metrics": {
                    name: {"name": name, "value": value} for name, value in metrics.items()
                },
            }
        ],
    }


def _sample(run: RunToExport, evidence: Evidence) -> dict[str, Any]:
    rollout, model = evidence.rollout, run.reader.config.model
    name = model.served_name if model else "none"
    messages = list(_messages(run, evidence))
    said = [message for message in messages if message["role"] == "assistant"]
    choices = [{"message": said[-1], "stop_reason": "stop"}] if said else []
    sample: dict[str, Any] = {
        "id": evidence.instance_id,
        "uuid": f"{run.reader.state.run_id}/{evidence.instance_id}",
        "epoch": 1,
        "input": messages[0]["content"],
        "target": "",
        "messages": messages,
        "output": {"model": name, "choices": choices},
        "scores": _scores(run, evidence),
        "error": _error(run, evidence.instance_id),
        "metadata": {"repo": evidence.repo, "problems": list(evidence.problems)},
    }
    if rollout is None:
        return sample
    usage: Usage = rollout.usage
    return sample | {
        "metadata": sample["metadata"]
        | {"outcome": str(rollout.outcome), "attempt": rollout.key.attempt, "image": rollout.image},
        "started_at": iso(rollout.started_at),
        "completed_at": iso(rollout.ended_at),
        "total_time": rollout.ended_at - rollout.started_at,
        "working_time": max(0.0, rollout.ended_at - rollout.started_at - usage.held_s),
        "model_usage": {name: _usage(usage.prompt_tokens, usage.completion_tokens)}
        if model
        else {},
    }


def _scores(run: RunToExport, evidence: Evidence) -> dict[str, Any]:
    """Of what has a verdict, or has changed nothing; else none, as Inspect leaves errors."""
    rollout, grade = evidence.rollout, evidence.grade
    if rollout is None or (grade is None and rollout.has_patch):
        return {}
    finding = run.finding(evidence.instance_id)
    return {
        SCORER: {
            "value": "C" if grade is not None and grade.resolved else "I",
            "answer": writable(evidence.patch),
            "explanation": writable(finding.because),
            "metadata": {
                "cause": str(finding.cause or ""),
                "spoofed": finding.spoofed,
                "verdict_from": str(grade.reason or "") if grade else "",
            },
        }
    }


def _error(run: RunToExport, instance_id: str) -> dict[str, str] | None:
    """What keeps the instance from a verdict."""
    failure = run.reader.state.failures.get(instance_id)
    if failure is None:
        return None
    message = f"{failure.kind}: {writable(failure.detail)}"
    return {"message": message, "traceback": message, "traceback_ansi": message}


def _messages(run: RunToExport, evidence: Evidence) -> Iterator[dict[str, Any]]:
    """The issue, and each step as an answer with its call and what came of it."""
    statement = writable(run.instances[evidence.instance_id].problem_statement)
    yield {"id": "issue", "role": "user", "source": "input", "content": statement}
    for number, step in enumerate(evidence.steps, start=1):
        yield from _exchange(number, step)


def _exchange(number: int, step: Step) -> Iterator[dict[str, Any]]:
    seen = writable(step.seen)
    answer: dict[str, Any] = {
        "id": f"answer-{number}",
        "role": "assistant",
        "source": "generate",
        "content": writable(step.thought),
    }
    if not step.action:
        yield answer
        if seen:
            yield {"id": f"reply-{number}", "role": "user", "content": seen}
        return
    call = f"call-{number}"
    arguments = {"command": writable(step.action)}
    yield answer | {"tool_calls": [{"id": call, "function": ACTION, "arguments": arguments}]}
    yield {
        "id": f"result-{number}",
        "role": "tool",
        "tool_call_id": call,
        "function": ACTION,
        "content": seen,
    }


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
    }
