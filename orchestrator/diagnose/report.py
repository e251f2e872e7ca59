"""All that a diagnosis found, put together: the table, the verdict and the examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.schema import Model
from orchestrator.diagnose.causes import AskedModel
from orchestrator.diagnose.examples import Example, collect, save
from orchestrator.diagnose.levels import AskingPlan, CallLevel, LevelCell
from orchestrator.diagnose.verdict import Verdict, conclude
from orchestrator.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_PREREQUISITE


@dataclass(frozen=True)
class DiagnosisReport:
    model: Model
    plan: AskingPlan
    cells: tuple[LevelCell, ...]
    verdict: Verdict
    examples: tuple[Example, ...]
    folder: Path
    """Where the examples lie."""
    is_interrupted: bool

    @property
    def exit_code(self) -> int:
        if self.is_interrupted:
            return EXIT_INTERRUPTED
        return EXIT_DONE if self.verdict.agent else EXIT_PREREQUISITE

    def as_dict(self) -> dict[str, Any]:
        """For --json; counts by the table's words."""
        return {
            "model": self.model.name,
            "base_url": self.model.endpoint.base_url,
            "context": self.plan.sizes.context,
            "shortened": self.plan.sizes.shortened,
            "cells": [_cell_dict(cell) for cell in self.cells],
            "verdict": self.verdict.as_dict(),
            "examples": str(self.folder) if self.examples else None,
            "interrupted": self.is_interrupted,
        }


def make_report(
    model: Model,
    plan: AskingPlan,
    cells: Sequence[LevelCell],
    folder: Path,
    *,
    is_gone: bool = False,
    is_interrupted: bool = False,
) -> DiagnosisReport:
    """Judge what was asked so far, and write the examples. `is_gone`: the server stopped answering.

    Raises:
        OSError: the folder can't be written.
    """
    names, sizes = (model.name, model.served_name), plan.sizes
    protocols = tuple(form.protocol for form in plan.forms)
    asked = AskedModel(
        names, plan.at_once, sizes.chars_per_token, sizes.shortened, is_gone, protocols
    )
    examples = collect(cells)
    save(examples, folder)
    verdict = conclude(cells, asked)
    return DiagnosisReport(
        model, plan, tuple(cells), verdict, tuple(examples), folder, is_interrupted
    )


def _cell_dict(cell: LevelCell) -> dict[str, Any]:
    return {
        "level": min(cell.level, CallLevel.LOOP),
        "at_once": cell.at_once,
        "protocol": str(cell.protocol),
        "state": cell.state.name.lower(),
        "valid": cell.valid,
        "judged": cell.judged,
        "failures": {str(kind): count for kind, count in cell.failures},
        "skipped": cell.skipped,
    }
