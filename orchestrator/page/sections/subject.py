"""What a page is about: all that its sections are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.config.schema import RunConfig
from orchestrator.evidence.facts import Finding
from orchestrator.journal.views import RunState
from orchestrator.report.build import Report


@dataclass(frozen=True)
class Subject:
    """A run, as its journal stands."""

    config: RunConfig
    report: Report
    state: RunState
    findings: Mapping[str, Finding] = field(default_factory=dict)
    """By instance; empty where nobody looked."""

    @property
    def title(self) -> str:
        return f"{self.report.run_id}: {self.report.resolved} of {self.report.instances} resolved"
