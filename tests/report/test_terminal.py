from __future__ import annotations

from dataclasses import replace

from rich.console import Console
from support.rows import asked, graded, rolled, sampled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.report.build import build_report
from orchestrator.report.terminal import render_report

CONFIG = load_config(RunRequest("demo", run_id="r1"))


def lines(seen: RunState) -> dict[str, list[str]]:
    """What is printed, by the row's name."""
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render_report(build_report(CONFIG, seen, {})))
    rows = [line.split("  ") for line in captured.get().splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[0]: row[1:] for row in cells if row}


def test_a_run_says_what_it_cost_and_that_the_server_was_away() -> None:
    found = lines(
        state(
            rolled("a"),
            rolled("b"),
            grades=[graded("a", True), graded("b", True)],
            requests=[asked("a", prompt_tokens=30_000, completion_tokens=2000)],
            samples=[
                sampled(10.0, down_s=10.0, outages=1),
                sampled(20.0),
                sampled(30.0, down_s=5.0, outages=1),
            ],
        )
    )

    assert found["tokens"] == ["30.0 k in, 2.00 k out", "32.0 k"]
    assert found["tokens per resolved instance"] == ["16.0 k"]
    assert found["no model server was up"] == ["15 s", "2 x"]


def test_a_run_that_cost_nothing_has_no_rows_on_it() -> None:
    found = lines(state(rolled("a"), grades=[graded("a", True)]))

    assert not [name for name in found if "tokens" in name or "server" in name]


def test_where_nothing_was_resolved_nothing_is_said_of_its_cost() -> None:
    found = lines(state(rolled("a"), requests=[asked("a", prompt_tokens=30_000)]))

    assert "tokens" in found
    assert "tokens per resolved instance" not in found


def test_names_that_look_like_markup_are_printed_as_they_are() -> None:
    report = build_report(CONFIG, state(rolled("a")), {})
    odd = replace(report, model="m[/b]", by_repo={"[/x]/y": {"resolved": 0, "instances": 1}})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render_report(odd))

    assert "m[/b]" in captured.get()
    assert "[/x]/y" in captured.get()
