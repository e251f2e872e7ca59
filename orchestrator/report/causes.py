"""Why instances were not resolved: counts, and rows of report.json. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any

from orchestrator.evidence.facts import Finding
from orchestrator.evidence.taxonomy import RULES
from orchestrator.report.words import counted


def count_causes(findings: Mapping[str, Finding]) -> dict[str, int]:
    """How many instances have each cause, in the order of the rules."""
    counts = Counter(finding.cause for finding in findings.values())
    return {str(rule.cause): counts[rule.cause] for rule in RULES if counts[rule.cause]}


def finding_rows(findings: Mapping[str, Finding]) -> dict[str, dict[str, Any]]:
    """What was found of each instance that something was found of, by its id."""
    return {
        instance_id: {
            "cause": finding.cause,
            "because": finding.because,
            "spoofed": finding.spoofed,
            "facts": dict(finding.facts),
        }
        for instance_id, finding in sorted(findings.items())
        if finding.cause is not None or finding.spoofed
    }


def spoof_warnings(findings: Mapping[str, Finding], resolved: Set[str]) -> Iterator[str]:
    """Resolved instances whose patch can have written the results that the verdict rests on."""
    seen = {i: found.spoofed for i, found in findings.items() if found.spoofed and i in resolved}
    if not seen:
        return
    first = next(iter(seen))
    yield (
        f"{counted(len(seen), 'resolved instance')} whose patch can have written the test results "
        f"itself: look at {'it' if len(seen) == 1 else 'them'} before you quote the rate. "
        f"{first}: {seen[first]}"
    )
