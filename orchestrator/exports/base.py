"""What exports are made from, and what each of them comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from orchestrator.evidence.facts import Finding
from orchestrator.evidence.read import EvidenceReader
from orchestrator.report.build import Report
from orchestrator.types import Instance

ACTION = "action"
"""The name of the one function: our trajectories keep what an agent did as one text, the command,
whichever form of call it had."""
MAX_TOLD = 5
"""Lines of one kind that are shown to a person."""


@dataclass(frozen=True)
class RunToExport:
    """A run as its folder stands."""

    reader: EvidenceReader
    report: Report
    patches: Mapping[str, str]
    """The patch of every instance with an outcome; empty where it has changed nothing."""
    findings: Mapping[str, Finding]
    """Why instances are not resolved."""

    @cached_property
    def instances(self) -> Mapping[str, Instance]:
        return {instance.instance_id: instance for instance in self.reader.dataset.instances}

    @property
    def started_at(self) -> float:
        """Of its first session, in seconds since the epoch; 0 where it has none."""
        return min((session.started_at for session in self.reader.state.sessions), default=0.0)

    def finding(self, instance_id: str) -> Finding:
        """An empty one where nobody looked."""
        return self.findings.get(instance_id, Finding(instance_id))


@dataclass(frozen=True)
class Exported:
    """What an export has written."""

    path: Path
    """The file, or the folder, to give to who reads it."""
    count: str
    """What there is in it, such as `300 predictions`."""
    remarks: tuple[str, ...] = ()
    """What a person should know of it, one line each."""
    missing: tuple[str, ...] = ()
    """What it lacks for its purpose, one line each."""


Export = Callable[[RunToExport, Path], Exported]
"""Writes into an empty folder. Raises OSError, and PrerequisiteError where a library is missing."""


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def shortened(lines: Sequence[str]) -> Iterator[str]:
    """The first MAX_TOLD of lines of one kind, and how many more there are."""
    yield from lines[:MAX_TOLD]
    if len(lines) > MAX_TOLD:
        yield f"{len(lines) - MAX_TOLD} more like the last one"
