"""Which runs go together, and in which order. Pure.

Runs go together whose models are served at once: an image that one of them needs is there for all.
Where the GPU holds one model at a time, it is the models that take turns, over all benchmarks, so
that they change as rarely as they can.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.matrix.cells import CellRun


@dataclass(frozen=True)
class ModelTurn:
    """Runs for which the same servers have to be up."""

    runs: tuple[CellRun, ...]
    model: str | None = None
    """That is to be served first; None: all that they ask are served as it is."""

    @property
    def groups(self) -> tuple[tuple[CellRun, ...], ...]:
        """Runs that share their instances, benchmark by benchmark."""
        benchmarks = dict.fromkeys(run.benchmark for run in self.runs)
        return tuple(
            tuple(run for run in self.runs if run.benchmark == name) for name in benchmarks
        )


def make_turns(
    runs: Sequence[CellRun], absent: Collection[str], waiting: Collection[str]
) -> tuple[ModelTurn, ...]:
    """The turns of a night: what is served goes first, all of it together.

    `absent` are models that are not served yet. `waiting` are those that are, or could be, and that
    are to have a turn of their own. Each has one; the served ones go first.
    """
    alone = [model for model in models_of(runs) if model in waiting and model not in absent]
    alone += [model for model in models_of(runs) if model in absent]
    first = tuple(run for run in runs if run.model not in alone)
    turns = [ModelTurn(first)] if first else []
    turns += [ModelTurn(tuple(run for run in runs if run.model == model), model) for model in alone]
    return tuple(turns)


def models_of(runs: Sequence[CellRun]) -> tuple[str, ...]:
    """Those that runs ask a server for, in the runs' order."""
    return tuple(dict.fromkeys(run.model for run in runs if run.model and run.asks_server))
