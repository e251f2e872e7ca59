"""The two displays: a live view where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.display.steps import render_steps
from orchestrator.display.view import Slot, View, describe, image_words, outcome_words
from orchestrator.driver.executor import Event, Notice
from orchestrator.driver.scheduler import Stage, Start
from orchestrator.driver.time_left import TimeRange
from orchestrator.report.names import FAILURE_WORDS, STYLES, Mark
from orchestrator.report.words import counted, duration, duration_range
from orchestrator.text import printable
from orchestrator.worker.messages import Progress

SUMMARY_EVERY_S = 60.0
UNCHANGED_EVERY_S = 600.0
ALARMING = ("unavailable", "lost", "crashed", "internal_error")
"""Words of remarks that are drawn in red."""


class Display(Protocol):
    def show(self, event: Event | Start) -> None: ...

    def say(self, text: str) -> None: ...

    def notice(self, notice: Notice) -> None:
        """Why nothing moves, or that a stop was asked for; one without text takes it back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def make_display(console: Console, view: View) -> Display:
    return LiveDisplay(console, view) if console.is_terminal else PlainDisplay(console, view)


def print_line(console: Console, text: str, style: str = "") -> None:
    """One line of a person's log, as it is: nothing in it is markup, and it is not broken."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def waiting(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """A spinner beside what is waited for, on a terminal; nothing elsewhere. Gives what says other
    words in the place of `what`."""
    if not console.is_terminal:
        yield lambda words: None
        return
    with console.status(Text(what)) as status:
        yield lambda words: status.update(Text(words))


class PlainDisplay:
    """A line for each rollout and grade that ends, and where the run stands: once a minute while it
    moves, seldom while nothing does."""

    def __init__(
        self, console: Console, view: View, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds and never goes backwards."""
        self._console = console
        self._view = view
        self._clock = clock
        self._summed_up_at = clock()
        self._summed_up: tuple[object, ...] = ()
        """What the last summary was about."""
        self._noticed: set[str] = set()

    def show(self, event: Event | Start) -> None:
        now = self._clock()
        self._view.apply(event, now)
        line = describe(event, self._view)
        if line is not None:
            self.say(f"[{self._view.decided}/{self._view.instances}] {line}")
        if isinstance(event, Progress) and (
            steps := render_steps(event, self._view.name_of(event.key))
        ):
            self._console.print(steps, soft_wrap=True)
        self._sum_up(now)

    def _sum_up(self, now: float) -> None:
        view = self._view
        stands = (view.rolled_out, view.graded, view.model_lines, view.images)
        every_s = SUMMARY_EVERY_S if stands != self._summed_up else UNCHANGED_EVERY_S
        if now - self._summed_up_at < every_s:
            return
        self._summed_up_at, self._summed_up = now, stands
        for line in (summary_line(view, now), *view.model_lines, image_words(view.images)):
            if line:
                self.say(line)

    def say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {printable(text)}"
        self._console.print(Text(line), soft_wrap=True)

    def notice(self, notice: Notice) -> None:
        if notice.about and notice.about not in self._noticed:
            self._noticed.add(notice.about)
            self.say(notice.text)
        self._view.notice = notice.text

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
        line = describe(event, self._view)
        if line is not None:
            self._print(line, STYLES.get(line[:1], ""))
        if isinstance(event, Progress) and (
            steps := render_steps(event, self._view.name_of(event.key))
        ):
            self._live.console.print(steps, no_wrap=True, overflow="ellipsis")

    def say(self, text: str) -> None:
        self._print(text, "red" if any(word in text for word in ALARMING) else "")

    def _print(self, text: str, style: str) -> None:
        line = Text(printable(text), style=style, overflow="ellipsis", no_wrap=True)
        self._live.console.print(line)

    def notice(self, notice: Notice) -> None:
        self._view.notice = notice.text

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
    parts: list[RenderableType] = [Text(f" {view.name}", style="bold"), bars]
    parts.append(Text(summary_line(view, now)))
    for line in (*view.model_lines, image_words(view.images)):
        if line:
            parts.append(Text(line))
    if view.failures:
        kinds = view.failures.most_common()
        words = ", ".join(f"{count} x {FAILURE_WORDS[name]}" for name, count in kinds)
        parts.append(Text(f"failed, and is redone: {words}", style=STYLES[Mark.NO_VERDICT]))
    parts.append(_slots(view, now, width, max(3, height - 12)))
    if view.notice:
        parts.append(Text(view.notice, style="yellow"))
    return Group(*parts)


def summary_line(view: View, now: float) -> str:
    rate, low, high = view.rate
    so_far = f"{view.resolved} of {view.decided} resolved so far"
    interval = f" ({rate:.0%}, 95% interval {low:.0%} to {high:.0%})" if view.decided else ""
    ended = outcome_words(view.outcomes) or "no rollout has ended yet"
    return f"{so_far}{interval}; time left: {time_left_words(view.time_left(now))}; {ended}"


def time_left_words(left: TimeRange | None) -> str:
    """`12 to 18 min`, `14 min` once that is narrow; `?` where nobody knows."""
    return "?" if left is None else duration_range(left.low_s, left.high_s)


def _slots(view: View, now: float, width: int, max_rows: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis")
    rows = [_slot(view, slot, now) for slot in list(view.slots.values())[:max_rows]]
    # a long line would take the room of the columns before it
    taken = sum(
        max(text.cell_len for text in column) + 1 for column in list(zip(*rows, strict=True))[:3]
    )
    for *words, activity in rows:
        activity.truncate(max(width - taken, 1), overflow="ellipsis")
        table.add_row(*words, activity)
    if len(view.slots) > max_rows:
        table.add_row("", f"and {len(view.slots) - max_rows} more", "", "")
    return table


def _slot(view: View, slot: Slot, now: float) -> tuple[Text, Text, Text, Text]:
    mark = "▸" if slot.stage is Stage.ROLLOUT else "◆"
    steps = f"step {slot.steps}" if slot.steps else slot.phase
    if slot.broken_calls:
        steps += f" ({counted(slot.broken_calls, 'broken call')})"
    age = f"{steps} {duration(now - slot.since)}"
    activity = printable(slot.activity).replace("\n", " ")
    return Text(mark), Text(view.name_of(slot.key)), Text(age), Text(activity)
