"""What the doctor prints: a line a finding, and on a terminal lines that fit it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from orchestrator.doctor.check import CheckFinding, failed, passed
from orchestrator.doctor.examine import Examined
from orchestrator.doctor.installation_checks import Packages
from orchestrator.doctor.view import print_examined

COMMAND = "`python -m orchestrator agents install sweagent --platform linux/arm64`"


def said(finding: CheckFinding, width: int, *, at_terminal: bool = True) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=at_terminal, color_system=None)
    print_examined(console, Examined(Packages(), (finding,), 0.0))
    return screen.getvalue().splitlines()


def test_on_a_terminal_words_go_on_below_themselves() -> None:
    first, *rest = said(failed("word " * 40, "mend " * 30), 80)

    assert first.startswith("FAIL packages           word word")
    assert all(len(line) <= 80 for line in (first, *rest))
    cure = next(number for number, line in enumerate(rest) if "→" in line)
    assert {line[:25] for line in rest[:cure]} == {" " * 24 + "w"}
    assert rest[cure].startswith(" " * 24 + "→ mend")
    assert {line[:27] for line in rest[cure + 1 :]} == {" " * 26 + "m"}


@pytest.mark.parametrize("what", [COMMAND, "--set model.endpoint.base_url=http://spark:8000/v1"])
def test_what_is_to_be_copied_is_in_one_line(what: str) -> None:
    lines = said(failed("It is not there.", f"Perhaps some words before {what} and after it."), 80)

    assert any(what in line for line in lines)


@pytest.mark.parametrize(("width", "at_terminal"), [(80, False), (40, True)])
def test_elsewhere_each_finding_is_a_line(width: int, at_terminal: bool) -> None:
    assert len(said(passed("word " * 40), width, at_terminal=at_terminal)) == 1


def test_nothing_at_all_is_a_line_too() -> None:
    assert len(said(passed(""), 80)) == 1
