"""Their side and ours of scripts/bench_agents.py beside each other: the aims, a table, JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ray_alone import RayAlone
from rich.console import Console
from rich.table import Table
from watched_side import PARTS, Measured, Setup

from orchestrator.report.markdown import bar

AIM_WALL = 0.55
CLOCK_S = 0.05
"""So much sooner than it was answered may a rollout seem to ask again."""


@dataclass(frozen=True)
class Aim:
    """Something of ours that is to be no more than a limit."""

    what: str
    ours: float
    limit: float
    unit: str
    because: str
    """What the limit is made of."""

    @property
    def is_kept(self) -> bool:
        return self.ours <= self.limit

    def __str__(self) -> str:
        word = "kept" if self.is_kept else "missed"
        numbers = f"{self.ours:.1f} {self.unit}, at most {self.limit:.1f} {self.unit}"
        return f"{word}: {self.what} {numbers} ({self.because})"


@dataclass(frozen=True)
class Pair:
    """Two sides that did the same, and what Ray took by itself in the same run."""

    theirs: Measured
    ours: Measured
    ray: RayAlone

    @property
    def both(self) -> tuple[Measured, Measured]:
        return self.theirs, self.ours

    @property
    def aims(self) -> tuple[Aim, ...]:
        theirs, ours, ray = self.theirs, self.ours, self.ray
        start = theirs.parts_s["start"]
        more = "theirs and Ray's own"
        wall = f"{AIM_WALL:g} of theirs"
        return (
            Aim("wall", ours.wall_s, AIM_WALL * theirs.wall_s, "s", wall),
            Aim("start", ours.parts_s["start"], start + ray.start_s, "s", more),
            Aim("memory", ours.peak_mb, theirs.peak_mb + ray.peak_mb, "MB", more),
        )

    @property
    def other_verdicts(self) -> list[str]:
        """The instances whose verdicts are not the same on both sides, or that have none."""
        ours, theirs = self.ours.verdicts, self.theirs.verdicts
        return [key for key, said in theirs.items() if said is None or ours[key] is not said]


def problems_of(pair: Pair, setup: Setup) -> list[str]:
    """Why the sides can't be compared; nothing where they can."""
    return [words for side in pair.both for words in _problems(side, setup.calls, setup.delay_s)]


def _problems(side: Measured, calls: int, delay_s: float) -> Iterator[str]:
    """Every rollout has to take so many answers, to wait for each as long, and to be resolved."""
    odd = [f"{key} is {word_of(said)}" for key, said in side.verdicts.items() if said is not True]
    if odd:
        yield f"{side.name}: {', '.join(odd)}"
    odd = [f"{key} took {number}" for key, number in side.calls.items() if number != calls]
    if odd:
        yield f"{side.name}: every rollout was to take {calls} answers: {', '.join(odd)}"
    if side.shortest_answer_s < delay_s - CLOCK_S:
        yield (
            f"{side.name}: a rollout asked again after {side.shortest_answer_s:.2f} s, and every "
            f"answer takes {delay_s:g} s"
        )


def word_of(verdict: bool | None) -> str:
    return {True: "resolved", False: "not resolved", None: "without a verdict"}[verdict]


def gradings_alone_s(side: Measured, graders: int) -> float:
    """What the gradings take at least with so many graders: their own time in the harness's logs,
    shared out evenly, or the longest of them.

    This is the bound of any order (list scheduling: Graham 1966).
    """
    lengths = [end - begin for begin, end in side.grades]
    return max(sum(lengths) / graders, max(lengths, default=0.0))


def as_json(pair: Pair, setup: Setup) -> dict[str, Any]:
    """All of it; ratios are of ours to theirs."""
    theirs, ours, ray = pair.theirs, pair.ours, pair.ray
    figures = {
        "wall_s": (theirs.wall_s, ours.wall_s),
        "start_s": (theirs.parts_s["start"], ours.parts_s["start"]),
        "start_less_ray_s": (theirs.parts_s["start"], ours.parts_s["start"] - ray.start_s),
        "peak_mb": (theirs.peak_mb, ours.peak_mb),
        "peak_less_ray_mb": (theirs.peak_mb, ours.peak_mb - ray.peak_mb),
    }
    return {
        "slots": setup.slots,
        "graders": {"theirs": setup.graders, "ours": setup.our_graders},
        "calls_each": setup.calls,
        "delay_s": setup.delay_s,
        "theirs": _side_as_json(theirs),
        "ours": _side_as_json(ours),
        "ray_alone": asdict(ray),
        "their_gradings_alone_s": gradings_alone_s(theirs, setup.graders),
        "problems": problems_of(pair, setup),
        "other_verdicts": pair.other_verdicts,
        "figures": {
            key: {"theirs": their, "ours": our, "ratio": _ratio(our, their)}
            for key, (their, our) in figures.items()
        },
        "aims": [asdict(aim) | {"is_kept": aim.is_kept} for aim in pair.aims],
    }


def _side_as_json(side: Measured) -> dict[str, Any]:
    """JSON has no infinity."""
    shortest = side.shortest_answer_s if math.isfinite(side.shortest_answer_s) else None
    more = {"resolved": side.resolved, "grades_at_once": side.grades_at_once}
    return asdict(side) | {"shortest_answer_s": shortest} | more


def print_pair(key: str, pair: Pair, setup: Setup, console: Console) -> None:
    console.print(table_of(key, pair, setup))
    longest = round(10 * max(side.wall_s for side in pair.both))
    for side in pair.both:
        line = bar(round(10 * side.wall_s), longest, 40)
        console.print(f"{side.name:>20} {line} {side.wall_s:.0f} s")
    problems = problems_of(pair, setup)
    lines = [f"NOT COMPARABLE: {words}" for words in problems] or map(str, pair.aims)
    for line in lines:
        console.print(f"{key}: {line}", markup=False, soft_wrap=True)
    same = len(pair.theirs.verdicts) - len(pair.other_verdicts)
    word = "missed" if pair.other_verdicts else "kept"
    others = f"; not of {', '.join(pair.other_verdicts)}" if pair.other_verdicts else ""
    console.print(
        f"{key}: {word}: the same verdict on both sides of {same} of "
        f"{len(pair.theirs.verdicts)} instances{others}",
        markup=False,
        soft_wrap=True,
    )


def table_of(key: str, pair: Pair, setup: Setup) -> Table:
    theirs, ours, ray = pair.theirs, pair.ours, pair.ray
    table = Table(title=title_of(key, len(theirs.verdicts), setup))
    table.add_column("")
    for head in (theirs.name, ours.name, "ours / theirs"):
        table.add_column(head, justify="right")
    table.add_row("resolved", *(f"{side.resolved} of {len(side.verdicts)}" for side in pair.both))
    table.add_row("model calls", *(str(sum(side.calls.values())) for side in pair.both))
    table.add_row("wall s", *_numbers(theirs.wall_s, ours.wall_s, ".1f"))
    for part in PARTS:
        table.add_row(f"  {part} s", *_numbers(theirs.parts_s[part], ours.parts_s[part], ".1f"))
    start_s = ours.parts_s["start"] - ray.start_s
    table.add_row("start less Ray's own s", *_numbers(theirs.parts_s["start"], start_s, ".1f"))
    alone = f"{gradings_alone_s(theirs, setup.graders):.1f}"
    table.add_row(f"bound: gradings alone, by {setup.graders}, s", alone)
    table.add_row("gradings at once, at most", *(str(side.grades_at_once) for side in pair.both))
    table.add_row("peak PSS MB", *_numbers(theirs.peak_mb, ours.peak_mb, ".0f"))
    less_mb = ours.peak_mb - ray.peak_mb
    table.add_row("memory less Ray's own MB", *_numbers(theirs.peak_mb, less_mb, ".0f"))
    table.add_row("processes then", *(str(side.processes) for side in pair.both))
    table.add_row("containers left over", *(str(side.left_over) for side in pair.both))
    loads = ("{:.1f}, {:.1f}".format(*side.load) for side in pair.both)
    table.add_row("host's load before, at the end", *loads)
    table.add_section()
    table.add_row("Ray's own: to an actor's answer s", "", f"{ray.start_s:.1f}")
    table.add_row("Ray's own: peak PSS MB", "", f"{ray.peak_mb:.0f}")
    return table


def title_of(key: str, instances: int, setup: Setup) -> str:
    return (
        f"{key}: {instances} instances, {setup.slots} slots, {setup.calls} answers each of "
        f"{setup.delay_s:g} s ({instances * setup.calls * setup.delay_s / setup.slots:.0f} s in "
        f"all)\ngraders: theirs {setup.graders}, ours {setup.our_graders}"
    )


def _numbers(theirs: float, ours: float, form: str) -> tuple[str, str, str]:
    ratio = _ratio(ours, theirs)
    return format(theirs, form), format(ours, form), "" if ratio is None else f"{ratio:.2f}"


def _ratio(ours: float, theirs: float) -> float | None:
    """One to next to nothing is left out."""
    return ours / theirs if theirs >= 0.5 else None
