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


def test_on_a_terminal_the_last_line_of_the_log_stays_one_line() -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True)

    with progress_on(console, "spark") as progress:
        progress.show("[red]x[/red] " * 50)
        progress.say("spark starts c")

    assert isinstance(console.file, io.StringIO)
    assert "spark starts c" in console.file.getvalue()
