"""What a check is, and what it finds. One class each; `checks` has them in their order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar

from orchestrator.doctor.case import Case


class Depth(IntEnum):
    """When a check is made; each one makes those of the lower ones too."""

    PLAN = 1
    """For a plan (`launch --dry-run`): no model server is asked."""
    LAUNCH = 2
    """Before each session of a run. Takes seconds at most, beside one answer of the model."""
    DOCTOR = 3
    """When a person asks for it."""


class Severity(StrEnum):
    PASS = "pass"
    WARN = "warn"
    """The night may go worse for it."""
    FAIL = "fail"
    """There will be no night, or none to be trusted."""
    SKIPPED = "skipped"
    """What it needs is missing, which another check has told."""


WORST_FIRST = (Severity.FAIL, Severity.WARN, Severity.SKIPPED, Severity.PASS)


@dataclass(frozen=True)
class CheckFinding:
    """One thing that a check has found."""

    level: Severity
    what: str
    cure: str = ""
    """The command or step that mends it."""


def passed(what: str) -> CheckFinding:
    return CheckFinding(Severity.PASS, what)


def warned(what: str, cure: str = "") -> CheckFinding:
    return CheckFinding(Severity.WARN, what, cure)


def failed(what: str, cure: str = "") -> CheckFinding:
    return CheckFinding(Severity.FAIL, what, cure)


class Check(ABC):
    """One thing that can be wrong. It is made without arguments, and holds no state."""

    name: ClassVar[str]
    """A noun of one to three words, such as "runs' disk"."""
    depth: ClassVar[Depth]

    def applies(self, case: Case) -> bool:
        """Whether there is anything to look at in this case. Raises as `look`."""
        return True

    @abstractmethod
    def look(self, case: Case) -> Iterator[CheckFinding]:
        """What is found, the worst first.

        Raises:
            PrerequisiteError, ConfigError: it fails, and nothing more can be said. One that a fact
                of the case has raised is told by the first check that asks for that fact.
        """
        ...
