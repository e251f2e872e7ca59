"""The two displays: a live view where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.display.steps import render_steps
from orchestrator.display.view import View, describe, outcome_words
from orchestrator.driver.executor import Event
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.report.words import duration
from orchestrator.worker.messages import Progress

SUMMARY_EVERY_S = 60.0
ALARMING = ("unavailable", "lost", "crashed", "internal_error")
"""Words of lines that are drawn in red."""


class Display(Protocol):
    def show(self, event: Event | Start) -> None: ...

    def say(self, text: str) -> None: ...

    def notice(self, text: str) -> None:
        """Why nothing moves, or that a stop was asked for; empty takes it back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def make_display(console: Console, view: View) -> Display:
    return LiveDisplay(console, view) if console.is_terminal else PlainDisplay(console, view)


@contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """A spinner beside what is waited for, on a terminal; nothing elsewhere."""
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what)):
        yield


class PlainDisplay:
    """A line for each rollout and grade that ends, and once a minute where the run stands."""

    def __init__(self, console: Console, view: View) -> None:
        self._console = console
        self._view = view
        self._summed_up_at = time.monotonic()

    def show(self, event: Event | Start) -> None:
        now = time.monotonic()
        self._view.apply(event, now)
        line = describe(event)
        if line is not None:
            self.say(f"[{self._view.decided}/{self._view.instances}] {line}")
        if isinstance(event, Progress) and (steps := render_steps(event)):
            self._console.print(steps, soft_wrap=True)
        if now - self._summed_up_at >= SUMMARY_EVERY_S:
            self._summed_up_at = now
            self.say(summary_line(self._view, now))
            if self._view.model:
                self.say(self._view.model)

    def say(self, text: str) -> None:
        stamp = time.strftime("%H:%M:%S")
        self._console.print(f"{stamp} {text}", markup=False, highlight=False, soft_wrap=True)

    def notice(self, text: str) -> None:
        if text and text != self._view.notice:
            self.say(text)
        self._view.notice = text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Everything is printed already."""


class LiveDisplay:
    """Bars, slots and rates, redrawn in place four times a second."""

    def __init__(self, console: Console, view: View) -> None:
        self._console = console
        self._view = view
        self._live = Live(
            console=console, refresh_per_second=4, get_renderable=self._frame, transient=True
        )

    def show(self, event: Event | Start) -> None:
        self._view.apply(event, time.monotonic())
        line = describe(event)
        if line is not None:
            self.say(line)
        if isinstance(event, Progress) and (steps := render_steps(event)):
            self._live.console.print(steps, no_wrap=True, overflow="ellipsis")

    def say(self, text: str) -> None:
        style = "red" if any(word in text for word in ALARMING) else ""
        self._live.console.print(Text(text, style=style, overflow="ellipsis", no_wrap=True))

    def notice(self, text: str) -> None:
        self._view.notice = text

    def _frame(self) -> RenderableType:
        return render_view(self._view, time.monotonic(), self._console.width, self._console.height)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def render_view(view: View, now: float, width: int, height: int = 40) -> RenderableType:
    """The live view as it stands at `now`; pure but for rich."""
    bars = Table.grid(padding=(0, 1))
    bar_width = max(10, min(40, width - 34))
    for label, done, total in (
        ("rollouts", view.rolled_out, view.instances),
        ("grades", view.graded, view.to_grade),
    ):
        bar = ProgressBar(total=max(total, 1), completed=done, width=bar_width)
        bars.add_row(label, bar, f"{done}/{total}")
    parts: list[RenderableType] = [Text(f" {view.run_id}", style="bold"), bars]
    parts.append(Text(summary_line(view, now)))
    if view.model:
        parts.append(Text(view.model))
    if view.failures:
        words = ", ".join(f"{count} {name}" for name, count in view.failures.most_common())
        parts.append(Text(f"failures so far (redone): {words}", style="yellow"))
    parts.append(_slots(view, now, max(3, height - 12)))
    if view.notice:
        parts.append(Text(view.notice, style="bold yellow"))
    return Group(*parts)


def summary_line(view: View, now: float) -> str:
    rate, low, high = view.rate
    eta = duration(view.eta_s(now))
    outcomes = outcome_words(view.outcomes) or "none yet"
    return (
        f"resolved {view.resolved}/{view.decided} = {rate:.0%} ({low:.0%} to {high:.0%}); "
        f"ETA {eta}; outcomes: {outcomes}"
    )


def _slots(view: View, now: float, max_rows: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis")
    for slot in list(view.slots.values())[:max_rows]:
        mark = "▸" if slot.stage is Stage.ROLLOUT else "✓"
        steps = f"step {slot.steps}" if slot.steps else slot.phase
        activity = slot.activity.replace("\n", " ")
        table.add_row(
            mark, slot.key.instance_id, f"{steps} {duration(now - slot.since)}", Text(activity)
        )
    if len(view.slots) > max_rows:
        table.add_row("", f"and {len(view.slots) - max_rows} more", "", "")
    return table
