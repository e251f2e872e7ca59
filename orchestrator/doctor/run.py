"""`doctor`: every check on a request, shown as it goes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from orchestrator.config import RunRequest, load_config
from orchestrator.display.terminal import print_line
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, Depth, Severity
from orchestrator.doctor.examine import Examined, checks_of, examine
from orchestrator.doctor.view import conclusion, print_examined
from orchestrator.errors import EXIT_DONE, EXIT_PREREQUISITE


def examine_request(request: RunRequest, console: Console) -> tuple[Examined, ...]:
    """Make all checks on what a launch of the request would need; each is printed as it ends.

    Raises:
        ConfigError: the request itself is wrong.
    """
    config = load_config(request)
    case = Case(config, Path(config.runs_dir), request)
    found: list[Examined] = []
    with console.status("") as status:

        def show(check: Check) -> None:
            status.update(f"checking: {check.name}")

        for examined in examine(case, checks_of(Depth.DOCTOR), show):
            found.append(examined)
            print_examined(console, examined)
    print_line(console, conclusion(found))
    return tuple(found)


def exit_code(found: tuple[Examined, ...]) -> int:
    failed = any(examined.level is Severity.FAIL for examined in found)
    return EXIT_PREREQUISITE if failed else EXIT_DONE
