"""The report of a matrix: a pure function of its runs' journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.matrix.cells import Cell
from orchestrator.matrix.grid import Grid, build_grids
from orchestrator.matrix.pairs import Pairs, build_pairs
from orchestrator.matrix.record import MatrixRecord
from orchestrator.matrix.results import CellResult, RunResult, build_cells, wall_s
from orchestrator.matrix.words import CellWords, of_cell


@dataclass(frozen=True)
class MatrixReport:
    """The numbers of a matrix; its fields are the keys of matrix.json, but for `words`."""

    matrix_id: str
    name: str
    description: str
    attempts: int
    valid: bool
    """Whether every cell is."""
    wall_s: float
    cells: tuple[CellResult, ...]
    pairs: Pairs
    grids: tuple[Grid, ...]
    words: Mapping[Cell, CellWords]
    """What the table says of each cell."""

    def as_dict(self) -> dict[str, Any]:
        shown = {key: value for key, value in vars(self).items() if key != "words"}
        return {
            **shown,
            "cells": [asdict(cell) for cell in self.cells],
            "pairs": asdict(self.pairs),
            "grids": [asdict(grid) for grid in self.grids],
        }

    @property
    def benchmarks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.benchmark for cell in self.cells))

    def cells_of(self, benchmark: str) -> tuple[CellResult, ...]:
        return tuple(cell for cell in self.cells if cell.benchmark == benchmark)

    def axes(self, benchmark: str) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
        """The table of a benchmark: models down, none of them last, and agents across."""
        cells = self.cells_of(benchmark)
        models = sorted(dict.fromkeys(c.model for c in cells), key=lambda model: model is None)
        return tuple(models), tuple(dict.fromkeys(cell.agent for cell in cells))


def build_matrix_report(record: MatrixRecord, runs: Sequence[RunResult]) -> MatrixReport:
    """From the runs as they stand, in the record's order."""
    cells = build_cells(runs)
    return MatrixReport(
        matrix_id=record.matrix_id,
        name=record.matrix.name,
        description=record.matrix.description,
        attempts=record.matrix.attempts,
        valid=all(cell.valid for cell in cells),
        wall_s=round(wall_s(runs), 1),
        cells=cells,
        pairs=build_pairs(runs),
        grids=build_grids(cells, runs),
        words={cell.cell: of_cell(cell, _instances(cell, runs)) for cell in cells},
    )


def _instances(cell: CellResult, runs: Sequence[RunResult]) -> list[Any]:
    return [result for run in runs if run.cell == cell.cell for result in run.instances.values()]
