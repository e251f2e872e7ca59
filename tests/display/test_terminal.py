"""What a run looks like on a terminal, and in a file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from support.rows import failed, graded, key_of, rolled, state

from orchestrator.display.terminal import (
    LiveDisplay,
    PlainDisplay,
    make_display,
    render_view,
    summary_line,
)
from orchestrator.display.view import View
from orchestrator.driver.executor import ModelStatus, Notice
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.driver.time_left import TimeRange
from orchestrator.worker.messages import Progress

ODD = "[/bold] [red]x \x1b[2J\x1b]0;t\x07 \r\x9b31m \u202eabc \ud83d \0 :bug: " + "y" * 5000
"""What a model may say: markup, keys of a terminal, another direction, half a character."""


def assert_harmless(text: str) -> None:
    assert "[/bold] [red]x" in text
    assert ":bug:" in text
    assert not set("\x1b\x07\r\x9b\u202e\ud83d\0") & set(text)


def console(is_terminal: bool = False, width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=is_terminal)


def text_of(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


@pytest.fixture
def view() -> View:
    return View.of(state(ids=("a", "b")), now=0.0)


def test_a_terminal_gets_the_live_view_and_a_file_plain_lines(view: View) -> None:
    assert isinstance(make_display(console(is_terminal=True), view), LiveDisplay)
    assert isinstance(make_display(console(), view), PlainDisplay)


def test_plain_lines_report_every_end_and_how_far_the_run_is(view: View) -> None:
    where = console()
    with PlainDisplay(where, view) as display:
        display.show(rolled("a"))
        display.show(graded("a", True))
        display.show(failed("b"))

    lines = text_of(where).splitlines()
    assert len(lines) == 3
    assert "[1/2]" in lines[1]
    assert "worker_lost" in lines[2]


def test_a_notice_is_printed_once_for_what_it_is_about(view: View) -> None:
    where = console()
    pause, disk = Notice("a pause until 1", "pause 1"), Notice("the disk is full", "disk 1")
    longer = Notice("a pause until 2", "pause 1")
    away = Notice("the model server is away")
    another = Notice("the disk is full", "disk 2")
    with PlainDisplay(where, view) as display:
        for notice in (pause, pause, disk, longer, Notice(), away, pause, disk, another, away):
            display.notice(notice)
            assert view.notice == notice.text

    said = [line.partition(" ")[2] for line in text_of(where).splitlines()]
    assert said == ["a pause until 1", "the disk is full", "the disk is full"]


def test_where_the_run_stands_is_said_seldom_while_nothing_moves(view: View) -> None:
    where, now = console(), 0.0
    with PlainDisplay(where, view, lambda: now) as display:
        display.show(rolled("a"))
        for _ in range(3 * 360):  # three hours
            now += 10
            display.show(ModelStatus("model: 0 answers a minute"))
        silent = text_of(where)
        for _ in range(60):
            now += 10
            display.show(graded("a", True))
            display.show(ModelStatus(f"model: {now:.0f} answers a minute"))

    assert silent.count("0 answers a minute") == silent.count("time left") == 18
    assert text_of(where).count("time left") == 18 + 10


def test_the_live_view_shows_what_failed_and_why_nothing_moves(view: View) -> None:
    view.apply(rolled("a"), 1.0)
    view.apply(failed("b"), 2.0)
    view.notice = "waiting for the model server"
    where = console()
    where.print(render_view(view, 60.0, width=100))

    shown = text_of(where)
    assert "1/2" in shown
    assert "1 x the worker was lost" in shown
    assert "waiting for the model server" in shown


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_view_keeps_to_its_width(view: View, width: int) -> None:
    view.apply(rolled("a"), 1.0)
    where = console(width=width)
    where.print(render_view(view, 60.0, width))

    assert max(map(len, text_of(where).splitlines())) <= width


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_others_say_is_shown_as_it_is_and_harmless(view: View, is_terminal: bool) -> None:
    where = Console(file=io.StringIO(), width=200, force_terminal=is_terminal, color_system=None)
    display = PlainDisplay(where, view)
    if is_terminal:
        LiveDisplay(where, view).say(ODD)
    else:
        display.say(ODD)
        display.notice(Notice(ODD, "odd"))

    assert_harmless(text_of(where))


def test_what_an_agent_does_is_harmless_in_the_live_view(view: View) -> None:
    view.apply(Start(Stage.ROLLOUT, key_of("a[/b]")), 0.0)
    view.apply(Progress(key_of("a[/b]"), "agent", 3, ODD), 1.0)
    where = console(width=200)
    where.print(render_view(view, 60.0, 200))

    assert_harmless(text_of(where))


@pytest.mark.parametrize("length", [10, 200, 5000])
def test_a_long_command_leaves_room_for_whose_it_is(view: View, length: int) -> None:
    view.apply(Start(Stage.ROLLOUT, key_of("a[/b]__a-long-id-12")), 0.0)
    view.apply(Progress(key_of("a[/b]__a-long-id-12"), "agent", 3, "ö" * length), 1.0)
    where = console(width=80)
    where.print(render_view(view, 60.0, 80))

    assert "▸ a[/b]__a-long-id-12 step 3 1 min 00 s ö" in text_of(where)
    assert max(map(len, text_of(where).splitlines())) <= 80


@pytest.mark.parametrize(("broken", "words"), [(1, "1 broken call"), (8, "8 broken calls")])
def test_calls_that_are_broken_show_while_their_rollout_runs(
    view: View, broken: int, words: str
) -> None:
    view.apply(Start(Stage.ROLLOUT, key_of("a")), 0.0)
    view.apply(Progress(key_of("a"), "agent", 9, "asks the model", broken_calls=broken), 1.0)
    where = console(width=80)
    where.print(render_view(view, 60.0, 80))

    assert f"▸ a step 9 ({words}) 1 min 00 s asks" in text_of(where)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (None, "time left: ?;"),
        (TimeRange(720.0, 1080.0), "time left: 12 to 18 min;"),
        (TimeRange(800.0, 850.0), "time left: 14 min;"),
        (TimeRange(1.0, 1.0), "time left: 1 s;"),
    ],
)
def test_a_summary_says_a_range_of_time_that_is_left(left: TimeRange | None, words: str) -> None:
    view = View.of(state(ids=("a",)), now=0.0, time_left=lambda now: left)

    assert words in summary_line(view, 1.0)
