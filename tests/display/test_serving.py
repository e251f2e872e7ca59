from __future__ import annotations

import io

from rich.console import Console

from orchestrator.display.serving import PlainProgress, progress_on


def test_without_a_terminal_a_line_is_printed_now_and_then() -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), width=200)
    progress = PlainProgress(console, lambda: now[0])

    for second, text in ((10, "0 %"), (40, "10 %"), (50, "20 %"), (80, "10 %"), (81, "[x] 30 %")):
        now[0] = second
        progress.show(text)
    progress.say("up")

    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "  10 %\n  [x] 30 %\nup\n"


def test_on_a_terminal_nothing_is_drawn_until_the_host_says_something() -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True)
    assert isinstance(console.file, io.StringIO)

    with progress_on(console) as progress:
        assert console.file.getvalue() == ""
        progress.show("[red]x[/red] " * 50)
        progress.say("spark starts c")

    drawn = console.file.getvalue()
    assert "[red]x[/red]" in drawn
    assert "spark starts c" in drawn
