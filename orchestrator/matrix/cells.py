"""From a matrix's file to its cells and their runs. Reads profiles, and nothing else."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.config import RunConfig, RunRequest, asks_model, load_config
from orchestrator.config.matrix import Matrix, MatrixFile
from orchestrator.config.schema import RUN_ID
from orchestrator.config.sections import Section
from orchestrator.errors import ConfigError

MATRIX_ID_CHARACTERS = 60
"""At most, so that the ids of its runs have room for a model and an agent."""
RUN_ID_CHARACTERS = 100


class Cell(NamedTuple):
    """One entry of the table, by the names that its file has."""

    benchmark: str
    model: str | None
    """None where the agent asks no model."""
    agent: str

    @property
    def author(self) -> str:
        """`agent with model`."""
        return f"{self.agent} with {self.model}" if self.model else self.agent

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some settings, by dotted key, that are for this cell: those of a model mean
        nothing to an agent that asks none."""
        return {
            key: value
            for key, value in given.items()
            if self.model is not None or key.partition(".")[0] != "model"
        }


class CellRun(Section):
    """One attempt at a cell: an ordinary run, with a folder of its own."""

    run_id: str
    benchmark: str
    model: str | None
    agent: str
    attempt: int
    """From 1."""
    config: RunConfig

    @property
    def cell(self) -> Cell:
        return Cell(self.benchmark, self.model, self.agent)

    @property
    def asks_server(self) -> bool:
        """Whether it asks a real model server."""
        return self.config.model is not None and not self.config.scripted


@dataclass(frozen=True)
class PlannedRun:
    """A run that is to be, and the request that its configuration was made from."""

    run: CellRun
    request: RunRequest


def choose_matrix_id(given: str | None, matrix: Matrix) -> str:
    """The id that was asked for, or one made of name and time. Raises ConfigError."""
    if given is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        return f"{_fitting(matrix.name)[:40]}-{stamp}"
    if not re.fullmatch(RUN_ID, given) or len(given) > MATRIX_ID_CHARACTERS:
        raise ConfigError(
            f"run id {given!r}: use letters, digits, '.', '_' and '-', {MATRIX_ID_CHARACTERS} at "
            "most: the ids of its runs begin with it"
        )
    return given


def plan_runs(file: MatrixFile, matrix_id: str, options: RunRequest) -> tuple[PlannedRun, ...]:
    """All runs of a matrix, in the order of its file.

    `options` are those of the command line. They hold for every cell and go over the file's; what
    they say of a benchmark, a model and an agent is not looked at.

    Raises:
        ConfigError: as `load_config`.
    """
    cells = dict(_load_cells(file, options))
    attempts = range(1, file.matrix.attempts + 1)
    keys = [(cell, attempt) for cell in cells for attempt in attempts]
    ids = make_run_ids(matrix_id, [_words(cell, attempt, file.matrix) for cell, attempt in keys])
    planned = []
    for (cell, attempt), run_id in zip(keys, ids, strict=True):
        config, request = cells[cell]
        config = config.model_copy(update={"run_id": run_id})
        run = CellRun(run_id=run_id, attempt=attempt, config=config, **cell._asdict())
        planned.append(PlannedRun(run, replace(request, run_id=run_id)))
    return tuple(planned)


def _load_cells(
    file: MatrixFile, options: RunRequest
) -> Iterator[tuple[Cell, tuple[RunConfig, RunRequest]]]:
    """An agent that asks no model has one cell a benchmark, however many models there are."""
    matrix = file.matrix
    asking = {agent for agent in matrix.agents if asks_model(agent, options.config_dirs)}
    for benchmark in matrix.benchmarks:
        for model in matrix.models or (None,):
            for agent in matrix.agents:
                if agent not in asking and model not in (None, *matrix.models[:1]):
                    continue
                cell = Cell(benchmark, model if agent in asking else None, agent)
                request = _request(file, options, cell)
                try:
                    config = load_config(request)
                except ConfigError as error:
                    raise ConfigError(file.placed(str(error))) from None
                yield cell, (config, request)


def _request(file: MatrixFile, options: RunRequest, cell: Cell) -> RunRequest:
    matrix = file.matrix
    settings = cell.settings({**matrix.settings(cell.model, cell.agent), **options.settings})
    origins = {}
    for key in settings.keys() - options.settings.keys():
        place: tuple[str, ...] = ("set", key) if key in matrix.set else ("selection",)
        for name in (cell.model, cell.agent):
            if name is not None and key in matrix.set_for.get(name, {}):
                place = ("set_for", name, key)
        origins[key] = file.place(*place)
    return replace(
        options,
        **cell._asdict(),
        run_id="of-a-matrix",
        settings=settings,
        origins=origins,
    )


def _words(cell: Cell, attempt: int, matrix: Matrix) -> tuple[str, ...]:
    """What the id of a run is made of, behind the matrix's."""
    if matrix.attempts > 1 and matrix.has_one_cell:
        return (str(attempt),)
    benchmark = (cell.benchmark,) if len(matrix.benchmarks) > 1 else ()
    model = (cell.model,) if cell.model else ()
    number = (str(attempt),) if matrix.attempts > 1 else ()
    return (*benchmark, *model, cell.agent, *number)


def make_run_ids(matrix_id: str, words: Sequence[tuple[str, ...]]) -> list[str]:
    """`<matrix_id>.<model>.<agent>` and the like, one for each of the words, in their order.

    Each is a RUN_ID. They differ where the words do, also for file systems that do not tell upper
    from lower case: those that would not, or are too long, end in a digest of the words.
    """
    readable = [".".join((matrix_id, *map(_fitting, each))) for each in words]
    counts = Counter(run_id.casefold() for run_id in readable)
    return [
        run_id
        if len(run_id) <= RUN_ID_CHARACTERS and counts[run_id.casefold()] == 1
        else f"{run_id[: RUN_ID_CHARACTERS - 13]}-{_digest(each)}"
        for run_id, each in zip(readable, words, strict=True)
    ]


def _fitting(name: str) -> str:
    """A name, or the last part of a path, in the characters of an id."""
    last = re.sub(r"\.(yaml|yml)\Z", "", Path(name).name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._") or "x"


def _digest(words: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:12]
