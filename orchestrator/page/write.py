"""report.html: written into a run's folder, with what lies beside it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.evidence.read import EvidenceReader
from orchestrator.page.charts.bars import draw_funnel, draw_hours, draw_shares
from orchestrator.page.charts.rates import draw_headline, draw_repositories
from orchestrator.page.charts.timeline import draw_night
from orchestrator.page.instances.scripts import instance_scripts
from orchestrator.page.instances.write import write_instances
from orchestrator.page.render import read_asset, render_page
from orchestrator.page.sections.causes import build_causes
from orchestrator.page.sections.funnel import build_funnel
from orchestrator.page.sections.headline import build_headline
from orchestrator.page.sections.night import build_night
from orchestrator.page.sections.repositories import build_repositories
from orchestrator.page.sections.setup import build_setup
from orchestrator.page.sections.spending import build_spending
from orchestrator.page.sections.subject import Subject
from orchestrator.paths import RunPaths, write_atomic

CONTENTS = (
    ("result", "Result"),
    ("warnings", "Worth knowing"),
    ("funnel", "Funnel"),
    ("repositories", "Repositories"),
    ("causes", "Causes"),
    ("spending", "Time and tokens"),
    ("night", "The night"),
    ("instances", "Instances"),
    ("setup", "How it was run"),
)
"""Sections by id, in the page's order."""


def write_page(paths: RunPaths, subject: Subject, evidence: EvidenceReader) -> Path:
    """Write report.html of a run as its journal stands; returns its path.

    The same journal, and files of rollouts and grades, give the same bytes.
    """
    context = context_of(subject) | {"instances": write_instances(paths, subject, evidence)}
    styles, scripts = (read_asset("instances/instances.css"),), instance_scripts()
    page = render_page("report.html", subject.title, context, styles, scripts)
    write_atomic(paths.report_html, page)
    return paths.report_html


def context_of(subject: Subject) -> dict[str, object]:
    """What the templates show: the view models of all sections, and their charts."""
    headline, funnel = build_headline(subject), build_funnel(subject)
    repositories, causes = build_repositories(subject), build_causes(subject)
    spending, night = build_spending(subject), build_night(subject)
    warnings = (*subject.report.warnings, *subject.notes)
    present = {
        "warnings": bool(warnings),
        "repositories": headline.has_begun,
        "causes": causes is not None,
        "spending": spending is not None,
    }
    return {
        "subject": subject,
        "contents": [(id_, name) for id_, name in CONTENTS if present.get(id_, True)],
        "headline": headline,
        "rates": draw_headline(headline),
        "warnings": warnings,
        "retries": subject.report.retries.words,
        "funnel": funnel,
        "funnel_chart": draw_funnel(funnel),
        "repositories": repositories,
        "repositories_chart": draw_repositories(repositories),
        "causes": causes,
        "spending": spending,
        "shares_chart": draw_shares(spending) if spending else None,
        "hours_chart": draw_hours(spending) if spending else None,
        "night": night,
        "night_chart": draw_night(night) if night else None,
        "setup": build_setup(subject),
    }
