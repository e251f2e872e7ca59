"""matrix --dry-run: what a matrix would do, without starting anything or writing a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.config import RunRequest
from orchestrator.config.matrix import MatrixFile
from orchestrator.driver.capacity import RunWork, share_capacity
from orchestrator.driver.lanes import make_lanes
from orchestrator.driver.this_host import memory_here
from orchestrator.errors import PrerequisiteError
from orchestrator.matrix.cells import CellRun, choose_matrix_id, plan_runs
from orchestrator.matrix.check import check_runs, load_datasets, require_new_matrix
from orchestrator.matrix.night import order_turns, require_servers, turn_lines
from orchestrator.matrix.servers import ask_models
from orchestrator.matrix.turns import ModelTurn
from orchestrator.paths import MatrixPaths
from orchestrator.report.words import counted, duration
from orchestrator.run.image_words import image_lines, images_as_dict
from orchestrator.run.preview import Preview, make_preview


@dataclass(frozen=True)
class MatrixPreview:
    """The plan, and what it was made from."""

    matrix_id: str
    runs: tuple[CellRun, ...]
    turns: tuple[ModelTurn, ...]
    benchmarks: dict[str, Preview]
    """The plan of the first run of each benchmark: all of its runs need the same images."""
    problems: tuple[str, ...]
    """Prerequisites that the matrix would stop at."""

    @property
    def wall_s(self) -> float:
        """A rough guess."""
        return sum(self._seconds(group) for turn in self.turns for group in turn.groups)

    def run_s(self, run: CellRun) -> float:
        """A rough guess of a run by itself."""
        return self._seconds([run])

    def _seconds(self, runs: Sequence[CellRun]) -> float:
        preview = self.benchmarks[runs[0].benchmark]
        lanes = make_lanes([run.config for run in runs])
        work = [RunWork(run.config, preview.plan, lanes.get(run.run_id)) for run in runs]
        return share_capacity(work, preview.host, memory_here()).wall_s

    def as_dict(self) -> dict[str, Any]:
        """For --json: everything, in the order of the night."""
        return {
            "matrix_id": self.matrix_id,
            "turns": [
                {"model": turn.model, "groups": [[r.run_id for r in g] for g in turn.groups]}
                for turn in self.turns
            ],
            "runs": [
                {
                    **{key: getattr(run, key) for key in ("run_id", "benchmark", "model", "agent")},
                    "attempt": run.attempt,
                    "instances": len(self.benchmarks[run.benchmark].dataset.instances),
                    "wall_s": round(self.run_s(run)),
                }
                for turn in self.turns
                for run in turn.runs
            ],
            "images": {name: images_as_dict(p.images) for name, p in self.benchmarks.items()},
            "estimate": {"wall_s": round(self.wall_s)},
            "problems": list(self.problems),
        }


def make_matrix_preview(
    file: MatrixFile, matrix_id: str | None, options: RunRequest
) -> MatrixPreview:
    """Decide everything that a matrix decides; asks its models' servers.

    Raises:
        ConfigError: as `launch_matrix`.
    """
    matrix_id = choose_matrix_id(matrix_id, file.matrix)
    planned = plan_runs(file, matrix_id, options)
    runs = tuple(one.run for one in planned)
    paths = MatrixPaths.of(options.runs_dir, matrix_id)
    require_new_matrix(paths, runs)
    datasets = load_datasets(runs)
    problems: list[str] = []
    answers = ask_models(runs)
    try:
        check_runs(runs, datasets, paths, {p.run.run_id: p.request for p in planned})
        require_servers(file.matrix, runs, answers)
    except PrerequisiteError as problem:
        problems.append(str(problem))
    first = {one.run.benchmark: one.request for one in reversed(planned)}
    return MatrixPreview(
        matrix_id,
        runs,
        order_turns(file.matrix, runs, answers),
        {benchmark: make_preview(first[benchmark]) for benchmark in datasets},
        tuple(problems),
    )


def render_matrix_preview(preview: MatrixPreview) -> RenderableType:
    """For people: the cells in their order, and what disk and night must hold."""
    table = Table(title=preview.matrix_id, title_justify="left")
    for column in ("run", "instances", "time, a guess"):
        table.add_column(column, overflow="fold")
    for turn in preview.turns:
        for run in turn.runs:
            instances = len(preview.benchmarks[run.benchmark].dataset.instances)
            words = Text(run.run_id.removeprefix(f"{preview.matrix_id}."))
            table.add_row(words, str(instances), duration(preview.run_s(run)))
    lines = list(turn_lines(preview.matrix_id, preview.turns))
    for name, one in preview.benchmarks.items():
        images = image_lines(one.config, one.images, one.capacity.slots.count, time.time())
        lines += [f"{name}, images once for all of its runs: {line}" for line in images]
    lines.append(
        f"time: about {duration(preview.wall_s)} for {counted(len(preview.runs), 'run')}, a guess "
        "from the models' profiles; what goes together goes on side by side"
    )
    parts: list[RenderableType] = [table, Text("\n".join(lines))]
    warnings = dict.fromkeys(w for one in preview.benchmarks.values() for w in one.warnings)
    parts += [Text(warning, style="bold yellow") for warning in warnings]
    parts += [Text(f"matrix would stop: {p}", style="bold red") for p in preview.problems]
    return Group(*parts)
