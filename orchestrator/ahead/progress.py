"""How far a fetch is, in bytes: redrawn in place on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.backends.images import PullStep
from orchestrator.display.terminal import print_line
from orchestrator.images.decisions import StoreHold
from orchestrator.images.pulls import PullFailure, PullProblem
from orchestrator.report.words import compact, duration
from orchestrator.text import printable

RATE_OVER_S = 60.0
"""The rate is that of the last so many seconds."""
SUMMARY_EVERY_S = 60.0
"""Of plain lines, while bytes come."""
UNCHANGED_EVERY_S = 600.0
"""Of plain lines that tell of the same hold."""
SHOWN_AT_ONCE = 8


@dataclass
class FetchProgress:
    """Counts of a fetch; pure but for the clock's readings that it is given, in seconds."""

    images: int
    """To be brought or here, all together."""
    here: int
    total_bytes: int
    """To come; a guess where sizes are."""
    estimated: bool = False
    coming: dict[str, int] = field(default_factory=dict)
    """Bytes that have come, by image that is under way."""
    since: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    _done_bytes: int = 0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def bytes(self) -> int:
        """That have come; what was broken off counts, as it was sent."""
        return self._done_bytes + sum(self.coming.values())

    def begins(self, image: str, now: float) -> None:
        self.coming[image], self.since[image] = 0, now

    def came(self, image: str, so_far: int, now: float) -> None:
        self.coming[image] = max(self.coming.get(image, 0), so_far)
        self._samples.append((now, self.bytes))
        while self._samples[0][0] < now - RATE_OVER_S:
            self._samples.popleft()

    def ended(self, image: str, now: float, *, is_here: bool) -> float:
        """Seconds that it took."""
        self._done_bytes += self.coming.pop(image, 0)
        self.here += is_here
        return now - self.since.pop(image, now)

    def rate(self, now: float) -> float:
        """Bytes a second, of the last minute."""
        recent = [sample for sample in self._samples if sample[0] >= now - RATE_OVER_S]
        if not recent:
            return 0.0
        (start, first), (_, last) = recent[0], recent[-1]
        return (last - first) / max(now - start, 1.0)

    def line(self, now: float) -> str:
        about = "about " if self.estimated else ""
        rate, left = self.rate(now), max(self.total_bytes - self.bytes, 0)
        words = (
            f"{self.here}/{self.images} images are here; {compact(self.bytes)}B of "
            f"{about}{compact(max(self.total_bytes, self.bytes))}B came"
        )
        return f"{words}, {compact(rate)}B/s, {duration(left / rate)} left" if rate else words


class FetchDisplay:
    """Shows a fetch to a person. Its methods may be called from several threads."""

    def __init__(
        self,
        console: Console,
        progress: FetchProgress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress = progress
        self._console = console
        self._clock = clock
        self._lock = threading.RLock()
        self._notice = ""
        self._told: set[str] = set()
        """Images that a line was about which is not said twice."""
        self._told_at: dict[str, float] = {}
        """When plain lines last told of a hold."""
        self._summed_up = (clock(), progress.bytes)
        self._live = (
            Live(console=console, refresh_per_second=4, get_renderable=self._frame, transient=True)
            if console.is_terminal
            else None
        )

    def begins(self, image: str) -> None:
        with self._lock:
            self.progress.begins(image, self._clock())

    def came(self, image: str, so_far: int) -> None:
        with self._lock:
            self.progress.came(image, so_far, self._clock())
        self.tick()

    def is_here(self, image: str, last: PullStep) -> None:
        now = self._clock()
        with self._lock:
            self.progress.came(image, last.compressed, now)
            seconds = self.progress.ended(image, now, is_here=True)
            count = f"[{self.progress.here}/{self.progress.images}]"
        self.say(f"{count} {image}: {compact(last.compressed)}B in {duration(seconds)}")

    def failed(self, image: str, failure: PullFailure, *, given_up: bool) -> None:
        with self._lock:
            self.progress.ended(image, self._clock(), is_here=False)
            self.progress.refused += given_up
        if given_up:
            self.say(refusal(image, failure), "red")
        elif failure.problem is PullProblem.AWAY and image not in self._told:
            self._told.add(image)  # a hold says the rest
            self.say(f"did not come, and is tried again: {_about(image, failure)}", "yellow")

    def hold(self, hold: StoreHold | None) -> None:
        """Why nothing comes, and until when; None takes it back."""
        if hold is None:
            self._notice = ""
            return
        now, until = self._clock(), ""
        if hold.until is not None:
            until = f"; tried again at {clock_time(time.time() + hold.until - now)}"
        self._notice = f"{hold.text}{until}"
        is_due = now - self._told_at.get(hold.about, float("-inf")) >= UNCHANGED_EVERY_S
        if is_due and self._live is None:
            self._told_at[hold.about] = now
            self.say(self._notice, "yellow")

    def tick(self) -> None:
        """Time has passed."""
        now, (at, count) = self._clock(), self._summed_up
        if self._live is None and now - at >= SUMMARY_EVERY_S and self.progress.bytes != count:
            self._summed_up = (now, self.progress.bytes)
            self.say(self.progress.line(now))

    def say(self, text: str, style: str = "") -> None:
        stamp = "" if self._live is not None else f"{time.strftime('%H:%M:%S')} "
        print_line(self._console, f"{stamp}{printable(text)}", style)

    def _frame(self) -> RenderableType:
        with self._lock:
            return render_progress(self.progress, self._notice, self._clock(), self._console.width)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


def render_progress(progress: FetchProgress, notice: str, now: float, width: int) -> RenderableType:
    """The live view at `now`; pure but for rich."""
    bar = ProgressBar(
        total=max(progress.images, 1), completed=progress.here, width=max(10, min(40, width - 20))
    )
    parts: list[RenderableType] = [bar, Text(progress.line(now))]
    table = Table.grid(padding=(0, 1))
    for image, count in list(progress.coming.items())[:SHOWN_AT_ONCE]:
        took = duration(now - progress.since.get(image, now))
        table.add_row(Text("▾"), Text(f"{compact(count)}B"), Text(took), Text(printable(image)))
    parts.append(table)
    if notice:
        parts.append(Text(notice, style="bold yellow"))
    return Group(*parts)


def refusal(image: str, failure: PullFailure) -> str:
    return f"can't be had: {_about(image, failure)}"


def _about(image: str, failure: PullFailure) -> str:
    """What was said of an image, which names it."""
    return failure.detail if image in failure.detail else f"{image}: {failure.detail}"


def clock_time(at: float) -> str:
    """`03:12:05`, with its day where that is not today. `at` is in seconds since the epoch."""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%a %H:%M:%S", then)
