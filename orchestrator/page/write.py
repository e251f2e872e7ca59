"""report.html: written into a run's folder, with what lies beside it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.schema import RunConfig
from orchestrator.journal.views import RunState
from orchestrator.page.render import render_page
from orchestrator.page.sections.subject import Subject
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.build import Report


def write_page(paths: RunPaths, config: RunConfig, report: Report, state: RunState) -> Path:
    """Write report.html of a run as its journal stands; returns its path.

    The same journal, and files of rollouts and grades, give the same bytes.
    """
    subject = Subject(config, report, state)
    page = render_page("report.html", subject.title, {"subject": subject})
    write_atomic(paths.report_html, page)
    return paths.report_html
