"""Making checks, one after the other, and what a session needs to have been checked."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from orchestrator.backends import Host
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import WORST_FIRST, Check, CheckFinding, Depth, Severity, failed
from orchestrator.doctor.checks import CHECKS
from orchestrator.endpoint.servers import Serving
from orchestrator.errors import ConfigError, OrchestratorError, PrerequisiteError, one_line


@dataclass(frozen=True)
class Examined:
    """A check that was made, and what it found."""

    check: Check
    findings: tuple[CheckFinding, ...]
    seconds: float
    error: OrchestratorError | None = None
    """What it raised."""

    @property
    def level(self) -> Severity:
        """The worst of what it found."""
        found = {finding.level for finding in self.findings}
        return next((level for level in WORST_FIRST if level in found), Severity.PASS)

    @property
    def problem(self) -> OrchestratorError | None:
        """Why nothing can start; None where it can, and where another check tells of it."""
        if self.level is not Severity.FAIL:
            return None
        first = next(finding for finding in self.findings if finding.level is Severity.FAIL)
        return self.error or PrerequisiteError(first.what, first.cure)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line each."""
        warned = (found for found in self.findings if found.level is Severity.WARN)
        return tuple(f"{found.what} {found.cure}".strip() for found in warned)


def examine(
    case: Case, checks: Iterable[Check], on_start: Callable[[Check], None] = lambda check: None
) -> Iterator[Examined]:
    """Make those of the checks that apply, in their order, and give what each has found.

    What a check needs and another has found missing is told once: the further check is skipped.
    """
    told: dict[str, str] = {}
    for check in checks:
        started = time.monotonic()
        findings: list[CheckFinding] = []
        error: OrchestratorError | None = None
        try:
            if not check.applies(case):
                continue
            on_start(check)
            findings += check.look(case)
        except (PrerequisiteError, ConfigError) as raised:
            error = raised
            findings.insert(0, _finding(error, check, told))
        except Exception as bug:  # noqa: BLE001 - a check of many: what the others find is told too
            error = _bug(check, bug)
            findings.insert(0, failed(error.what, error.cure))
        yield Examined(check, tuple(findings), time.monotonic() - started, error)


def _finding(error: OrchestratorError, check: Check, told: dict[str, str]) -> CheckFinding:
    """Of what a check has raised. `told`: errors, and the check that met each first. A case raises
    the same one for a fact each time, and checks may meet one by themselves."""
    first = told.setdefault(str(error), check.name)
    if first != check.name:
        return CheckFinding(Severity.SKIPPED, f"can't be looked at: see {first}")
    if isinstance(error, PrerequisiteError):
        return failed(error.what, error.cure)
    return failed(str(error))


def _bug(check: Check, error: Exception) -> PrerequisiteError:
    """Of a check that failed by itself: a package that is broken, or an error of ours."""
    *_, last = traceback.extract_tb(error.__traceback__)
    words = one_line(f"{type(error).__name__}: {error}", 200)
    return PrerequisiteError(
        f"the check of {check.name} itself ended in an error ({words}, at {last.filename}:"
        f"{last.lineno}).",
        "Is all installed as it should be? Else it is an error of this program: please report it.",
    )


def checks_of(depth: Depth) -> tuple[Check, ...]:
    """Those that are made at this depth, in their order."""
    return tuple(check for check in CHECKS if check.depth <= depth)


def require_passed(case: Case, checks: Iterable[Check]) -> tuple[str, ...]:
    """Make checks until one fails; gives what they warn of, a line each.

    Raises:
        ConfigError: the request can't be met.
        PrerequisiteError: something is missing.
    """
    warnings: list[str] = []
    for examined in examine(case, checks):
        if examined.problem is not None:
            raise examined.problem
        warnings += examined.warnings
    return tuple(warnings)


@dataclass(frozen=True)
class Checked:
    """What the checks before a session found."""

    host: Host
    key: str = ""
    """The endpoint's key."""
    serving: tuple[Serving, ...] = ()
    """Empty where no model server is asked."""
    warnings: tuple[str, ...] = ()


def require_ready(case: Case) -> Checked:
    """Everything that a session needs, checked once, in one order for new runs and for old ones.

    Raises: as `require_passed`.
    """
    warnings = require_passed(case, checks_of(Depth.LAUNCH))
    if not case.has_rollouts:
        return Checked(case.host, warnings=warnings)
    key = case.key if case.asks_server else ""
    return Checked(case.host, key, case.servers.found, warnings)
