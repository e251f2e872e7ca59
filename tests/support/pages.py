"""Pages of runs that hold what a test says, and what stands in a page."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.evidence.facts import Finding
from orchestrator.evidence.read import EvidenceReader
from orchestrator.journal import RunState
from orchestrator.page.sections.subject import Subject
from orchestrator.page.write import write_page
from orchestrator.paths import RunPaths
from orchestrator.report.build import build_report

CONFIG = load_config(RunRequest("demo", run_id="r1"))
VOID = frozenset({"meta", "br", "hr", "img", "input", "link", "col", "wbr"})


def subject_of(
    state: RunState,
    config: RunConfig = CONFIG,
    findings: Mapping[str, Finding] | None = None,
    **more: Any,
) -> Subject:
    """A run of this state; `more` are other fields of a `Subject`."""
    found = findings or {}
    report = build_report(config, state, {"swebench": "5.0.2"}, findings=found)
    return Subject(config, report, state, found, **more)


def page_of(subject: Subject, folder: Path) -> Page:
    """The page of a run of which there are no files but its journal."""
    paths = RunPaths(folder)
    evidence = EvidenceReader(paths, subject.config, Dataset((), {}, ""), subject.state)
    return Page.of(write_page(paths, subject, evidence).read_text(encoding="utf-8"))


class Page(HTMLParser):
    """What a page is made of. Raises AssertionError where an element is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.html = ""
        self.ids: list[str] = []
        self.targets: list[str] = []
        """Of links and of whatever else is loaded."""
        self.headings: list[int] = []
        self.words: list[str] = []
        self._open: list[str] = []

    @classmethod
    def of(cls, html: str) -> Page:
        page = cls()
        page.html = html
        page.feed(html)
        page.close()
        assert page._open == []
        return page

    @property
    def text(self) -> str:
        """What people read, in one line."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(tag)
        known = dict(attrs)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.targets += [known[name] or "" for name in ("href", "src") if name in known]
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)
