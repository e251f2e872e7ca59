"""The report of a run in the forms that people ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import load_run_config
from orchestrator.errors import ConfigError
from orchestrator.evidence.read import EvidenceReader
from orchestrator.exports.base import RunToExport
from orchestrator.exports.tables import instances_csv
from orchestrator.journal import read_journal
from orchestrator.page.sections.subject import Subject
from orchestrator.page.write import write_page
from orchestrator.paths import RunPaths
from orchestrator.report.markdown import render_markdown
from orchestrator.run.folder import evidence_of, subject_of
from orchestrator.run.lock import RunLock


@dataclass(frozen=True)
class RunToReport:
    """A run as its folder stands."""

    subject: Subject
    evidence: EvidenceReader

    @classmethod
    def read(cls, paths: RunPaths, published: Path | None = None) -> RunToReport:
        """Raises:
        ConfigError: it is no run, or the file of published results can't be used.
        JournalError: its record can't be read.
        """
        lock, state = RunLock.read(paths), read_journal(paths.journal)
        evidence = evidence_of(paths, load_run_config(paths.config), state, lock)
        return cls(subject_of(evidence, lock, published), evidence)

    def write_page(self) -> Path:
        """Write report.html and what lies beside it. Raises ConfigError where that can't be."""
        paths = self.evidence.paths
        try:
            return write_page(paths, self.subject, self.evidence)
        except OSError as error:
            what = error.filename or paths.report_html
            raise ConfigError(
                f"{what} can't be written ({error.strerror or error}); copy the run's folder to "
                "where you may write, and name that"
            ) from error


def _html(run: RunToReport) -> str:
    """The page's path: the page itself is for a browser."""
    return f"{run.write_page()}\n"


def _markdown(run: RunToReport) -> str:
    return render_markdown(run.subject.report, run.subject.state) + "\n"


def _json(run: RunToReport) -> str:
    return json.dumps(run.subject.report.as_dict(), indent=2) + "\n"


def _csv(run: RunToReport) -> str:
    """A row an instance."""
    subject = run.subject
    run_to_export = RunToExport(run.evidence, subject.report, {}, subject.findings)
    return instances_csv(run_to_export)


FORMATS: Mapping[str, Callable[[RunToReport], str]] = {
    "md": _markdown,
    "html": _html,
    "json": _json,
    "csv": _csv,
}
"""What is printed, by the format's name."""
