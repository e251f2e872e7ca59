"""What a run's number depends on and is another by now: found when a session begins, and of model
servers again when it ends; kept in the lock, so that the report can say it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.config import RunConfig
from orchestrator.config.schema import Model
from orchestrator.doctor.examine import Checked
from orchestrator.endpoint.servers import Serving
from orchestrator.endpoint.serving import require_endpoint, serving_facts
from orchestrator.errors import PrerequisiteError
from orchestrator.paths import RunPaths
from orchestrator.report.validity import Part
from orchestrator.run.lock import DriftLock, RunLock, versions
from orchestrator.run.ready import Session

HARNESS = "swebench"
AGENT_PACKAGES = {"mini": "mini-swe-agent"}
"""By kind of agent: a library of our own environment. Agents with installations of their own
refuse to go on with another version."""


def find_drifts(config: RunConfig, lock: RunLock, checked: Checked) -> Iterator[DriftLock]:
    """What is another than the run began with, on the host and at the servers that were checked."""
    for words in lock.serving_changes(checked.serving):
        yield DriftLock(part=Part.SERVER, words=words)
    for words in lock.sandbox.host_changes(checked.host):
        yield DriftLock(part=Part.HOST, words=words)
    packages = {Part.HARNESS: HARNESS}
    if config.agent is not None and config.agent.kind in AGENT_PACKAGES:
        packages[Part.AGENT] = AGENT_PACKAGES[config.agent.kind]
    now = versions()
    for part, package in packages.items():
        before = lock.versions.get(package, now[package])
        if now[package] != before:
            words = f"{package} is {now[package]} here, and the run began with {before}"
            yield DriftLock(part=part, words=words)


def drift_warnings(session: Session) -> Iterator[str]:
    for drift in find_drifts(session.config, session.lock, session.checked):
        yield f"{drift.words}: its results will be of both"


def with_drifts(config: RunConfig, lock: RunLock, checked: Checked, now: float) -> RunLock:
    """The lock of a run that goes on at `now`, seconds since the epoch.

    What is found for the first time holds from now on, and what is not found any more held until
    now: results between are of the other. Servers that were not asked say nothing.
    """
    found = {drift.words: drift for drift in find_drifts(config, lock, checked)}
    kept = []
    for drift in lock.drifts:
        was_looked_at = drift.part is not Part.SERVER or bool(checked.serving)
        is_over = drift.until is None and was_looked_at and drift.words not in found
        kept.append(drift.model_copy(update={"until": now}) if is_over else drift)
    standing = {drift.words for drift in kept if drift.until is None}
    new = [
        drift.model_copy(update={"since": now})
        for words, drift in found.items()
        if words not in standing
    ]
    return lock.model_copy(update={"drifts": (*kept, *new)})


def record_drifts(paths: RunPaths, config: RunConfig, lock: RunLock, checked: Checked) -> RunLock:
    """Note in the file what is another now than the run began with; returns its lock."""
    noted = with_drifts(config, lock, checked, time.time())
    if noted != lock:
        noted.write(paths)
    return noted


def look_again(session: Session) -> Session:
    """The session when it has ended, with what its model servers show by now in its lock.

    A server that is away by now says nothing.
    """
    model, lock = session.config.model, session.lock
    if model is None or session.config.scripted or not session.plan.rollouts:
        return session
    serving = [
        found
        for before in session.checked.serving
        if (found := look_at(model, before.base_url, session.checked.key)) is not None
    ]
    standing = {drift.words for drift in lock.drifts if drift.until is None}
    since = session.journal.state().sessions[-1].started_at
    new = [
        DriftLock(part=Part.SERVER, words=words, since=since, within_session=True)
        for words in lock.serving_changes(serving)
        if words not in standing
    ]
    if not new:
        return session
    lock = lock.model_copy(update={"drifts": (*lock.drifts, *new)})
    lock.write(session.paths)
    return replace(session, lock=lock)


def look_at(model: Model, base_url: str, key: str) -> Serving | None:
    try:
        entry = require_endpoint(model, base_url, key)
        return Serving(base_url, {**serving_facts(base_url, key), "model": entry})
    except PrerequisiteError:
        return None
