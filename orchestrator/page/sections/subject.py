"""What a page is about: all that its sections are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.schema import RunConfig
from orchestrator.evidence.facts import Finding
from orchestrator.journal.views import RunState
from orchestrator.report.build import Report
from orchestrator.report.published import Published


@dataclass(frozen=True)
class Subject:
    """A run, as its journal stands."""

    config: RunConfig
    report: Report
    state: RunState
    findings: Mapping[str, Finding] = field(default_factory=dict)
    """By instance; empty where nobody looked."""
    published: Sequence[Published] = ()
    """Results of the same benchmark, to stand beside this one."""
    serving: Sequence[Mapping[str, Any]] = ()
    """What each model server said of itself at the start: base URL, kind, version, model."""
    notes: Sequence[str] = ()
    """What kept something from the page, a line each."""

    @property
    def title(self) -> str:
        return f"{self.report.run_id}: {self.report.resolved} of {self.report.instances} resolved"
