"""The instances of a run for its page; what is large goes into files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.evidence.read import EvidenceReader
from orchestrator.journal.views import RunState
from orchestrator.page.instances.details import Details, details_of
from orchestrator.page.instances.rows import InstanceTable, instance_table
from orchestrator.page.instances.storage import Kept, keep
from orchestrator.page.sections.subject import Subject
from orchestrator.paths import RunPaths


@dataclass(frozen=True)
class PageInstances:
    """What the template `_instances.html` shows."""

    table: InstanceTable
    details: tuple[Kept, ...]
    """In the order of the table."""


def write_instances(paths: RunPaths, subject: Subject, evidence: EvidenceReader) -> PageInstances:
    """Read every instance once, and keep its details; one at a time is in memory."""
    table = instance_table(subject.report, subject.state, subject.findings)
    return PageInstances(table, keep(_details(table, subject.state, evidence), paths))


def _details(table: InstanceTable, state: RunState, reader: EvidenceReader) -> Iterator[Details]:
    for row in table.rows:
        evidence = reader.read(row.instance_id)
        yield details_of(evidence, row, state)
