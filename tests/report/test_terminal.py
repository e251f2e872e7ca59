"""What the terminal says of a run: the number, how sure it is, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from rich.console import Console
from support.rows import asked, decision, failed, graded, rolled, sampled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.report.build import Report, build_report
from orchestrator.report.terminal import render_report
from orchestrator.types import Outcome

CONFIG = load_config(RunRequest("demo", run_id="r1"))


def report(seen: RunState, **changes: object) -> Report:
    return replace(build_report(CONFIG, seen, {}), **changes)  # type: ignore[arg-type]


def printed(
    of: Report, width: int = 100, *, is_terminal: bool = False, colours: Mapping[str, str] = {}
) -> str:
    console = Console(
        width=width,
        _environ=colours,
        force_terminal=True if colours else None,
        color_system="standard" if colours else None,
    )
    with console.capture() as captured:
        console.print(render_report(of, width, is_terminal=is_terminal))
    return captured.get()


TWO_OF_THREE = state(
    *(rolled(i) for i in ("x-1", "x-2", "y-1")),
    grades=[graded("x-1", True), graded("x-2", False), graded("y-1", True)],
    ids=("x-1", "x-2", "y-1"),
)
ALL_KINDS = state(
    rolled("a"),
    rolled("b", outcome=Outcome.STEP_LIMIT, salvaged=True),
    failed("c"),
    grades=[graded("a", True), graded("b", False)],
)


def test_the_number_comes_first_with_its_interval_and_that_it_is_valid() -> None:
    first, second, third = printed(report(TWO_OF_THREE)).splitlines()[1:4]

    assert first.strip() == ""
    assert second.strip() == "66.7%: 2 of 3 resolved, valid"
    assert third.strip().startswith("0% ┄")
    assert third.strip().endswith("┤ 100%  95% interval 20.8% to 93.9%") or "┤┄" in third


def test_on_a_terminal_the_number_is_drawn_large_with_its_interval_beside_it() -> None:
    lines = [line.strip() for line in printed(report(TWO_OF_THREE), is_terminal=True).splitlines()]

    assert lines[2:5] == [
        "█▀▀ █▀▀   ▀▀█ ▀ █   2 of 3 resolved, valid",
        f"█▀█ █▀█     █ ▄▀    0% {'┄' * 12}├{'━' * 26}●{'━' * 15}┤{'┄' * 4} 100%",
        "▀▀▀ ▀▀▀ ▀   ▀ ▀ ▀   95% interval 20.8% to 93.9%",
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_where_the_number_may_not_be_quoted_the_reason_comes_before_it(is_terminal: bool) -> None:
    lines = printed(report(ALL_KINDS), is_terminal=is_terminal).splitlines()

    assert lines[2].strip().startswith("quarantined: 1 of 3 instances has no verdict")
    assert lines[3].strip().startswith("1 of 3 resolved so far (33.3%, 95% interval ")
    assert "┄" not in "".join(lines), "and no interval is drawn of it"


def test_resolved_unresolved_and_failed_differ_in_shape_where_there_is_no_colour() -> None:
    lines = [line.strip() for line in printed(report(ALL_KINDS)).splitlines()]

    assert "█" * 20 + "▒" * 20 + "╱" * 20 in lines
    assert "█ ✓ 1 resolved   ▒ ✗ 1 unresolved   ╱ ? 1 without a verdict" in lines


@pytest.mark.parametrize(
    ("environment", "is_coloured"), [({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False)]
)
def test_they_differ_in_colour_unless_a_person_wants_none(
    environment: Mapping[str, str], is_coloured: bool
) -> None:
    text = printed(report(ALL_KINDS), colours=environment)

    colours = [f"\x1b[{code}m{fill}" for code, fill in ((32, "█"), (31, "▒"), (33, "╱"))]
    assert [colour in text for colour in colours] == [is_coloured] * 3


def test_a_part_of_one_in_three_hundred_is_seen() -> None:
    ids = [f"x-{n}" for n in range(300)]
    seen = state(*(rolled(i) for i in ids[1:]), grades=[graded(i, True) for i in ids[1:]], ids=ids)

    lines = [line.strip() for line in printed(report(seen)).splitlines()]

    assert "█" * 59 + "╱" in lines


def test_how_rollouts_ended_is_said_in_words_beside_the_identifiers() -> None:
    text = printed(report(ALL_KINDS))

    assert "out of steps (step_limit)" in text
    assert "? the worker was lost (worker_lost)" in text
    assert "1 patch salvaged (changed, never submitted)" in text


def test_no_name_stands_without_what_it_is_the_name_of() -> None:
    demo = report(TWO_OF_THREE, run_id="demo", agent="demo", model="demo")
    first = printed(demo).splitlines()[0]

    assert first.strip() == "demo  benchmark demo, agent demo, model demo; 0 s"


def test_what_a_person_decided_is_told_apart() -> None:
    seen = state(
        rolled("a"),
        rolled("b"),
        grades=[graded("a", True), graded("b", None)],
        decisions=[decision("b", "diff")],
        ids=("a", "b"),
    )
    text = printed(report(seen))

    assert "1 unresolved, 1 of them by a person" in text
    assert "1 of 2 resolved, valid; 1 decided by a person" in text


MANY = report(
    TWO_OF_THREE,
    instances=300,
    resolved=120,
    resolve_rate=0.4,
    ci95=(0.346, 0.456),
    resolved_ids=tuple(map(str, range(120))),
    unresolved_ids=tuple(map(str, range(180))),
    outcomes={str(outcome): 40 for outcome in Outcome},
    by_repo={f"owner{n}/repo-{n}": {"instances": 20 + n, "resolved": n} for n in range(14)},
)


@pytest.mark.parametrize("width", [40, 60, 80, 132, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = printed(MANY, width, is_terminal=True)

    assert max(map(len, text.splitlines())) <= width
    assert "120 of 300" in text


def test_of_many_repositories_the_largest_are_shown_and_the_rest_is_summed_up() -> None:
    text = printed(MANY, 80)

    assert "repo-13" in text
    assert "repo-0 " not in text
    assert "more with" in text


def test_repositories_that_differ_only_in_their_owners_keep_them() -> None:
    rows = {"instances": 1, "resolved": 0}
    text = printed(report(TWO_OF_THREE, by_repo={"a/x": rows, "b/x": rows}))

    assert "a/x" in text
    assert "b/x" in text


def test_a_run_says_what_it_cost_and_that_the_server_was_away() -> None:
    seen = state(
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
    lines = [line.strip() for line in printed(report(seen)).splitlines()]

    assert "tokens  30.0 k in, 2.00 k out; 16.0 k per resolved instance" in lines
    assert "no model server was up  15 s (2 outages)" in lines


def test_a_run_that_cost_nothing_has_no_lines_on_it() -> None:
    text = printed(report(state(rolled("a"), grades=[graded("a", True)])))

    assert "tokens" not in text
    assert "server" not in text


def test_where_nothing_was_resolved_nothing_is_said_of_its_cost() -> None:
    text = printed(report(state(rolled("a"), requests=[asked("a", prompt_tokens=30_000)])))

    assert "tokens  30.0 k in, 0 out\n" in "".join(f"{t.rstrip()}\n" for t in text.splitlines())


def test_names_that_look_like_markup_or_move_the_cursor_are_printed_as_they_are() -> None:
    rows = {"resolved": 0, "instances": 1}
    odd = report(TWO_OF_THREE, model="m[/b]\x1b[2J", by_repo={"[/x]/y": rows, "z/y": rows})
    text = printed(odd)

    assert "m[/b]" in text
    assert "\x1b" not in text
    assert "[/x]/y" in text


def test_why_instances_were_not_resolved_is_said_in_words() -> None:
    causes = {"looped": 1, "wrong_file": 9, "no_edit": 3, "format": 2}

    text = " ".join(printed(report(TWO_OF_THREE, causes=causes)).split())

    assert "why not resolved wrong file: 9, edited nothing: 3, " in text
    assert "and 1 other cause" in text


def test_where_there_is_no_room_for_large_digits_the_number_is_a_word() -> None:
    text = printed(MANY, 40, is_terminal=True)

    assert "40.0%: 120 of 300 resolved" in " ".join(text.split())
    assert "▀▀" not in text
