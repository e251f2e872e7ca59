"""Neighbours in the table, compared on the instances that both have a verdict on. Pure.

Neighbours are two cells of a benchmark that differ in the model alone, or in the agent alone.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from orchestrator.matrix.cells import Cell
from orchestrator.matrix.results import RunResult, verdicts
from orchestrator.report.paired import compare_paired
from orchestrator.report.stats import holm


@dataclass(frozen=True)
class Pair:
    """One cell against another; its fields are keys of matrix.json.

    Instances are compared on which every attempt of both has a verdict of the harness, or an empty
    patch. The more often resolved of two is the better one: of one attempt each that is McNemar's
    test. `difference` is the mean over instances of the one's resolved share less the other's.
    """

    benchmark: str
    differs_in: str
    """`model` or `agent`."""
    shared: str
    """The agent, or the model, that both have."""
    one: str
    other: str
    one_run_ids: tuple[str, ...]
    other_run_ids: tuple[str, ...]
    instances: int
    left_out: int
    """Instances without a verdict in one of the two. They count as nothing, and never as zero."""
    better: int
    """Instances at which `one` was."""
    worse: int
    difference: float | None
    """None where nothing could be compared, as for what follows."""
    ci95: tuple[float, float]
    smallest_difference: float | None
    """That so many instances could show (`report.paired`)."""
    p: float | None
    """Exact, two-sided."""
    p_holm: float | None
    """Corrected for all pairs of the matrix that could be compared."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of a matrix, and how many of them say nothing."""

    compared: tuple[Pair, ...]
    left_out: Mapping[str, int]
    """Pairs by why they could not be compared."""


def build_pairs(runs: Sequence[RunResult]) -> Pairs:
    cells: dict[Cell, list[RunResult]] = {}
    for run in runs:
        cells.setdefault(run.cell, []).append(run)
    compared: list[Pair] = []
    left_out = Counter[str]()
    for one, other, differs_in in _neighbours(list(cells)):
        if why := _why_not(cells[one], cells[other]):
            left_out[why] += 1
        else:
            compared.append(_compare(differs_in, one, other, cells))
    corrected = holm([pair.p for pair in compared if pair.p is not None])
    return Pairs(
        tuple(replace(pair, p_holm=p) for pair, p in zip(compared, corrected, strict=True)),
        dict(left_out),
    )


def _neighbours(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Cell, str]]:
    """By model first, then by agent; a cell without a model has no neighbour in it."""
    for one, other in combinations(cells, 2):
        if one.benchmark != other.benchmark or None in (one.model, other.model):
            continue
        if one.agent == other.agent:
            yield one, other, "model"
        elif one.model == other.model:
            yield one, other, "agent"


def _why_not(one: Sequence[RunResult], other: Sequence[RunResult]) -> str:
    if any(run.report is None for run in (*one, *other)):
        return "a run of theirs never started"
    if not verdicts(one).keys() & verdicts(other).keys():
        return "no instance has a verdict in both"
    return ""


def _shares(runs: Sequence[RunResult]) -> dict[str, float]:
    """The resolved share of the attempts, of each instance on which all have a verdict."""
    return {i: statistics.fmean(each) for i, each in verdicts(runs).items()}


def _compare(
    differs_in: str, one: Cell, other: Cell, cells: Mapping[Cell, Sequence[RunResult]]
) -> Pair:
    ones, others = _shares(cells[one]), _shares(cells[other])
    every = {instance for cell in (one, other) for run in cells[cell] for instance in run.instances}
    paired = compare_paired(ones, others)
    names = (one.model, other.model) if differs_in == "model" else (one.agent, other.agent)
    return Pair(
        benchmark=one.benchmark,
        differs_in=differs_in,
        shared=str(one.agent if differs_in == "model" else one.model),
        one=str(names[0]),
        other=str(names[1]),
        one_run_ids=tuple(run.run_id for run in cells[one]),
        other_run_ids=tuple(run.run_id for run in cells[other]),
        instances=paired.instances,
        left_out=len(every) - paired.instances,
        better=paired.better,
        worse=paired.worse,
        difference=paired.difference,
        ci95=paired.ci95,
        smallest_difference=paired.smallest_difference,
        p=paired.p,
        p_holm=None,
    )
