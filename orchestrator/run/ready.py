"""A session of a run that may begin, and how it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.agents import AgentKind
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.doctor.examine import Checked
from orchestrator.driver.plan import Plan
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report
from orchestrator.run.begun import Begun
from orchestrator.run.lock import RunLock


@dataclass(frozen=True)
class Finished:
    """How a session of a run ended."""

    report: Report
    paths: RunPaths
    exit_code: int


@dataclass(frozen=True)
class Session:
    """One launch or resume of a run, checked and ready. Its driver's lock is held."""

    config: RunConfig
    dataset: Dataset
    paths: RunPaths
    lock: RunLock
    agent: AgentKind | None
    """None where the run has predictions that were made elsewhere."""
    plan: Plan
    checked: Checked
    journal: Journal
    begun: Begun = field(default_factory=Begun)
