"""What several attempts at each cell say, as rows for tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.matrix.results import CellResult
from orchestrator.report.attempts import AttemptStatistics, Estimate
from orchestrator.report.bars import bar
from orchestrator.report.words import cell as escaped
from orchestrator.report.words import counted, interval_words

HOW = (
    "pass@k: at least one of k attempts resolves an instance; pass^k: all k do. Both are unbiased "
    "means over instances (Chen and others 2021, Yao and others 2024), with 95 % intervals that "
    "take the attempts at an instance as one cluster. Only instances count of which every attempt "
    "has a verdict."
)
FLIPPED_SHOWN = 50


def estimate_rows(statistics: AttemptStatistics) -> Iterator[tuple[str, str, str]]:
    """Name, bar and value of pass@k, then of pass^k; of one attempt both are the same."""
    for name, estimates in (("pass@", statistics.pass_at), ("pass^", statistics.pass_all[1:])):
        for estimate in estimates:
            yield f"{name}{estimate.k}", bar_of(estimate), estimate_words(estimate)


def bar_of(estimate: Estimate) -> str:
    return bar(round(1000 * estimate.value), 1000)


def estimate_words(estimate: Estimate) -> str:
    """`38.3% (31.0% to 46.2%)`."""
    return f"{estimate.value:.1%} ({interval_words(estimate.ci95)})"


def count_rows(statistics: AttemptStatistics) -> Iterator[tuple[str, str, str]]:
    """How many instances were resolved in none, some and all of their attempts."""
    for times, count in enumerate(statistics.resolved_in):
        whole = statistics.instances
        yield f"resolved in {times} of {statistics.attempts}", bar(count, whole), f"{count}/{whole}"


def flip_line(statistics: AttemptStatistics) -> str:
    """How many instances one attempt resolved and another did not."""
    flipped, whole = len(statistics.flipped), counted(statistics.instances, "instance")
    left_out = f", {statistics.left_out} left out" if statistics.left_out else ""
    rate = f"; of two attempts one differs in {statistics.flip_rate:.1%} of cases"
    return f"{flipped or 'none'} of {whole} flipped{left_out}{rate if flipped else ''}"


def repeated_cells(cells: Iterable[CellResult]) -> list[tuple[CellResult, AttemptStatistics]]:
    return [(cell, cell.repeated) for cell in cells if cell.repeated is not None]


def attempts_section(cells: Sequence[CellResult]) -> Iterator[str]:
    """Of matrix.md; empty where every cell was attempted once."""
    repeated = repeated_cells(cells)
    if not repeated:
        return
    yield "## Attempts"
    yield ""
    yield HOW
    yield ""
    for cell, statistics in repeated:
        yield f"### {escaped(f'{cell.benchmark}: {cell.cell.author}')}"
        yield ""
        yield "| | | |"
        yield "|---|---|---:|"
        for name, picture, words in (*estimate_rows(statistics), *count_rows(statistics)):
            yield f"| {name} | `{picture}` | {words} |"
        yield ""
        yield f"{flip_line(statistics)}."
        yield ""
        yield from _flipped(cell, statistics)


def _flipped(cell: CellResult, statistics: AttemptStatistics) -> Iterator[str]:
    if not statistics.flipped:
        return
    links = ", ".join(
        f"[{number}](../{run_id}/report.md)" for number, run_id in enumerate(cell.run_ids, 1)
    )
    yield f"Instances that flipped, attempt by attempt ({links}):"
    yield ""
    for instance_id, marks in list(statistics.flipped.items())[:FLIPPED_SHOWN]:
        yield f"- {marks} {escaped(instance_id, 300)}"
    if len(statistics.flipped) > FLIPPED_SHOWN:
        yield f"- and {len(statistics.flipped) - FLIPPED_SHOWN} more: see matrix.json"
    yield ""
