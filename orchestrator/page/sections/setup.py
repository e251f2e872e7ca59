"""How a run was made: what its number depends on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.page.sections.subject import Subject
from orchestrator.report.images import USUAL_PLATFORM
from orchestrator.report.words import duration

SERVER_FACTS = {
    "base_url": "address",
    "server": "kind",
    "version": "version",
    "root": "model",
    "max_model_len": "context",
}


@dataclass(frozen=True)
class Group:
    title: str
    facts: tuple[tuple[str, str], ...]


def build_setup(subject: Subject) -> tuple[Group, ...]:
    """Those groups of which anything is known."""
    groups = (
        Group("Model", tuple(_model(subject))),
        *(Group("Model server", tuple(_server(facts))) for facts in subject.serving),
        Group("Agent and limits", tuple(_agent(subject))),
        Group("Benchmark", tuple(_benchmark(subject))),
        Group("Sandboxes and grading", tuple(_sandboxes(subject))),
        Group("Versions", tuple(sorted(subject.report.versions.items()))),
        Group("Changed on resume", tuple(("", change) for change in subject.report.changes)),
    )
    return tuple(group for group in groups if group.facts)


def _model(subject: Subject) -> Iterator[tuple[str, str]]:
    model = subject.config.model
    if model is None:
        return
    yield "profile", model.name
    yield "served as", model.served_name
    for url in model.endpoint.base_urls:
        yield "asked at", url
    if model.context_length is not None:
        yield "context", f"{model.context_length:,} tokens"
    for name, value in model.sampling.model_dump(exclude_none=True).items():
        yield name.replace("_", " "), str(value)
    for name, value in model.request_fields.items():
        yield name, str(value)


def _server(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it said of itself, in its own words; the rest is in lock.json."""
    model = facts.get("model")
    known = {**facts, **(model if isinstance(model, Mapping) else {})}
    for key, name in SERVER_FACTS.items():
        if isinstance(value := known.get(key), str | int):
            yield name, str(value)


def _agent(subject: Subject) -> Iterator[tuple[str, str]]:
    config = subject.config
    yield "made by", config.agent_name
    if config.agent is not None:
        yield "kind", config.agent.kind
    if config.model is None:
        return
    limits = config.rollout
    yield "steps", f"at most {limits.max_steps:,}"
    yield "tokens", f"at most {limits.max_tokens:,}"
    yield "time", f"at most {duration(limits.time_limit_s)}"
    yield "a command", f"at most {duration(limits.command_timeout_s)}"


def _benchmark(subject: Subject) -> Iterator[tuple[str, str]]:
    benchmark = subject.config.benchmark
    yield "profile", benchmark.name
    yield "source", benchmark.source
    yield "split", benchmark.split
    yield "instances", f"{subject.report.instances:,}"


def _sandboxes(subject: Subject) -> Iterator[tuple[str, str]]:
    report = subject.report
    if report.platform:
        note = "" if report.platform == USUAL_PLATFORM else " (official numbers: linux/amd64)"
        yield "platform of the images", report.platform + note
    if report.emulation:
        yield "emulated", report.emulation
    if report.images:
        yield "images", f"{len(set(report.images.values())):,}, by digest in report.json"
